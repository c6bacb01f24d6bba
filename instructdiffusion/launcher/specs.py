"""What a server says about its node types (/object_info), read into one form for every generation of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_EMPTY = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}
_SEEDS = {"seed", "noise_seed"}
CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")


@dataclass(frozen=True)
class InputSpec:
    """One input of a node type. `choices` are a combo's values, None for other types and for lists that
    the browser would fetch from elsewhere."""

    name: str
    type: str
    required: bool = True
    choices: tuple[Any, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_forced(self) -> bool:
        """A widget's type that is a socket all the same."""
        forced = self.options.get("forceInput") or (not self.required and self.options.get("defaultInput"))
        return bool(forced)

    @property
    def has_widget_type(self) -> bool:
        """Whether the canvas has a widget for this type."""
        if self.options.get("widgetType") or self.options.get("socketless"):
            return True
        return self.type in _WIDGETS or self.is_dynamic

    @property
    def is_dynamic(self) -> bool:
        """A combo whose choices each bring inputs of their own."""
        return self.type.startswith("COMFY_DYNAMICCOMBO")

    @property
    def is_widget(self) -> bool:
        """Whether a new node on the canvas shows a widget for it."""
        return self.has_widget_type and not self.is_forced

    @property
    def controls(self) -> int:
        """How many further widgets, of no meaning to the server, follow this one on the canvas."""
        control = self.options.get("control_after_generate", self.type == "INT" and self.name in _SEEDS)
        if not control:
            return 0
        return 2 if self.type == "COMBO" else 1

    @property
    def is_upload(self) -> bool:
        """Whether it names a file that can be uploaded."""
        return any(key.endswith("_upload") and value is True for key, value in self.options.items())

    @property
    def default(self) -> Any:
        """What a new node holds; None where neither the server nor the type says."""
        if "default" in self.options:
            return self.options["default"]
        return self.choices[0] if self.choices else _EMPTY.get(self.type)

    def brought_by(self, choice: Any) -> list[InputSpec]:
        """The inputs that a choice of a dynamic combo brings, named `combo.input`; none for other inputs."""
        brought: list[InputSpec] = []
        for option in self.options.get("options") or [] if self.is_dynamic else []:
            if isinstance(option, Mapping) and option.get("key") == choice:
                for spec in input_specs({"input": option.get("inputs")}):
                    brought.append(replace(spec, name=f"{self.name}.{spec.name}"))
        return brought


def input_specs(info: Mapping[str, Any]) -> list[InputSpec]:
    """The inputs of a node type in the order in which the canvas shows their widgets; hidden ones are left out.

    info: the type's entry in /object_info.
    """
    specs = []
    for group in ("required", "optional"):
        inputs = (info.get("input") or {}).get(group) or {}
        order = [name for name in (info.get("input_order") or {}).get(group) or [] if name in inputs]
        for name in [*order, *(name for name in inputs if name not in order)]:
            specs.append(_input_spec(name, inputs[name], group == "required"))
    return specs


def _input_spec(name: str, declared: Any, required: bool) -> InputSpec:
    parts = list(declared) if isinstance(declared, (list, tuple)) else [declared]
    kind = parts[0] if parts else "*"
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
    if isinstance(kind, (list, tuple)):
        return InputSpec(name, "COMBO", required, tuple(kind), options)
    if kind == "COMBO":
        choices = options.get("options")
        if not isinstance(choices, (list, tuple)) or options.get("remote"):
            choices = None
        return InputSpec(name, "COMBO", required, None if choices is None else tuple(choices), options)
    spec = InputSpec(name, str(kind), required, None, options)
    if not spec.is_dynamic:
        return spec
    keys = [option.get("key") for option in options.get("options") or [] if isinstance(option, Mapping)]
    return replace(spec, choices=tuple(keys))


def missing_types(types: Mapping[str, str], object_info: Mapping[str, Any]) -> dict[str, list[str]]:
    """The node types that the server lacks, each with the ids of the nodes that want it.

    types: node id -> node type.
    """
    missing: dict[str, list[str]] = {}
    for node, kind in types.items():
        if kind not in object_info:
            missing.setdefault(kind, []).append(node)
    return missing
