"""Modules by the names they had before the rooms: they import what stands elsewhere now, with a DeprecationWarning.

To be deleted, with the lines that use it in `__init__`, one release after 0.1.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType

# before -> now, both below this package; the modules of a package that moved follow it
MOVED = {
    "reasons": "utils.errors",
    "interrupts": "utils.interrupts",
    "batches": "utils.batching",
    "kept": "utils.cache",
    "files": "utils.files",
    "color": "imaging.colors",
    "paint": "imaging.rasterize",
    "draw": "imaging.annotate",
    "resize": "imaging.resize",
    "tiles": "imaging.tiling",
    "photograph": "imaging.photograph",
    "jobs": "inference.runner",
    "editor": "inference.components_backend",
    "answer": "inference.answer",
    "scales": "inference.scales",
    "arguments": "inference.inputs",
    "streaming": "inference.streaming",
    "memory": "inference.memory",
    "pieces": "utils.pieces",
    "vae_tiles": "inference.vae_tiling",
    "tile_noise": "inference.tile_noise",
    "messages": "inference.messages",
    "compose": "compositing.rules",
    "compositor": "compositing.learned",
    "noise": "compositing.noise_level",
    "blur": "compositing.sharpness",
    "overlay": "compositing.watermarks",
    "models.ldm_keys": "models.formats.ldm_keys",
    "models.unpickle": "models.formats.safe_pickle",
    "models.parts": "models.formats.weight_files",
    "models.averages": "models.formats.ema_keys",
    "models.expressible": "models.ldm_compat",
    "models.checkpoint": "models.single_file",
    "models.companions": "models.sidecar",
    "models.layout": "models.formats.folder",
    "models.build": "models.architecture",
    "models.auxiliary": "utils.auxiliary",
    "models.speed": "models.optimization",
    "sampling.graphs": "sampling.acceleration.cuda_graphs",
    "sampling.replaying": "sampling.acceleration.cuda_graph_runner",
    "sampling.deepcache": "sampling.acceleration.deepcache",
    "sampling.adaptive": "sampling.acceleration.adaptive_guidance",
    "sampling.kernels.layout": "sampling.kernels.memory_format",
    "datasets.examples": "datasets.synthetic.examples",
    "datasets.record": "datasets.records",
    "datasets.augment": "datasets.augmentation",
    "datasets.readers.streaming": "datasets.readers.large_json",
    "datasets.scenes": "datasets.synthetic",
    "datasets.scenes.records": "datasets.synthetic.scene",
    "datasets.scenes.coco": "datasets.synthetic.coco_json",
    "evaluation.asking": "evaluation.request",
    "evaluation.report": "evaluation.reports.report",
    "evaluation.page": "evaluation.reports.page",
    "evaluation.page_style": "evaluation.reports.page_style",
    "evaluation.sheet": "evaluation.reports.sheet",
    "evaluation.gallery": "evaluation.reports.gallery",
    "evaluation.breadth_tables": "evaluation.reports.breadth_tables",
    "evaluation.curve": "evaluation.sweep.sweep",
    "evaluation.curve_chart": "evaluation.sweep.chart",
    "evaluation.curve_order": "evaluation.sweep.order",
    "evaluation.metrics.fingerprint": "utils.network_digest",
    "trainer.words": "trainer.tokenizer_corpus",
    "launcher.convert": "launcher.graph_conversion",
    "launcher.wildcards": "launcher.dynamic_prompts",
    "launcher.handover": "launcher.comfy_cli",
    "images": "imaging.images",
    "models.starts": "models.weight_init",
    "trainer.start": "trainer.init",
    "datasets.readers.unpickle": "datasets.readers.plain_pickle",
    "datasets.readers.cache": "datasets.readers.index",
    "datasets.readers.base": "datasets.readers.reader",
    "datasets.readers.editing": "datasets.readers.image_edits",
    "datasets.readers.pictures": "datasets.readers.stored_images",
    "datasets.readers.masks": "datasets.readers.annotation_masks",
    "datasets.scenes.editing": "datasets.synthetic.edit_records",
    "datasets.scenes.edits": "datasets.synthetic.edit_operations",
    "datasets.scenes.perception": "datasets.synthetic.perception_records",
    "datasets.scenes.joints": "datasets.synthetic.point_records",
    "datasets.scenes.restoration": "datasets.synthetic.degradations",
    "datasets.scenes.drawing": "datasets.synthetic.sprites",
    "datasets.fixtures.drawing": "datasets.fixtures.flat_images",
    "datasets.fixtures.edits": "datasets.fixtures.edit_sets",
    "datasets.fixtures.pose": "datasets.fixtures.pose_sets",
    "datasets.fixtures.refer": "datasets.fixtures.referring_sets",
    "datasets.fixtures.restoration": "datasets.fixtures.restoration_sets",
    "datasets.fixtures.segmentation": "datasets.fixtures.segmentation_sets",
    "evaluation.curve_report": "evaluation.sweep.tables",
    "evaluation.runner": "evaluation.evaluator",
    "evaluation.scenes": "evaluation.scene_benchmark",
    "evaluation.benchmarks.base": "evaluation.benchmarks.benchmark",
    "evaluation.benchmarks.detect": "evaluation.benchmarks.detection_benchmark",
    "evaluation.benchmarks.editing": "evaluation.benchmarks.editing_benchmark",
    "evaluation.benchmarks.pose": "evaluation.benchmarks.pose_benchmark",
    "evaluation.benchmarks.refer": "evaluation.benchmarks.referring_benchmark",
    "evaluation.benchmarks.restoration": "evaluation.benchmarks.restoration_benchmark",
    "evaluation.benchmarks.semantic": "evaluation.benchmarks.semantic_benchmark",
    "evaluation.metrics.boxes": "evaluation.metrics.box_metrics",
    "evaluation.metrics.keypoints": "evaluation.metrics.keypoint_metrics",
    "evaluation.metrics.masks": "evaluation.metrics.mask_metrics",
    "evaluation.metrics.pictures": "evaluation.metrics.image_metrics",
    "evaluation.metrics.semantic": "evaluation.metrics.class_iou",
    "evaluation.metrics.coco": "evaluation.metrics.coco_ap",
    "evaluation.metrics.precision": "evaluation.metrics.average_precision",
    "tasks.base": "tasks.task",
    "tasks.segment": "tasks.catalog.segment",
    "tasks.detect": "tasks.catalog.detect",
    "tasks.classify": "tasks.catalog.classify",
    "tasks.keypoints": "tasks.catalog.keypoints",
    "tasks.edit": "tasks.catalog.edit",
    "tasks.restore": "tasks.image_task",
    "decoding.refiner": "decoding.light_unet",
}


def new_name(name: str) -> str | None:
    """Tell where a module stands now.

    Args:
        name: A module's name below the package, as it was before ("draw", "datasets.scenes.words").

    Returns:
        Its name today, below the package too; None for one that never moved.
    """
    head, tail = name, ""
    while head:
        if head in MOVED:
            return MOVED[head] + tail
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return None


class MovedModules:
    """Finds a package's moved modules by their old names.

    Args:
        package: The package's full name: "instructdiffusion", or what a host that loads it by path has made of it.
    """

    def __init__(self, package: str) -> None:
        self._prefix = f"{package}."

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Give a spec for the old name of a moved module, None for all others."""
        if not fullname.startswith(self._prefix) or new_name(fullname.removeprefix(self._prefix)) is None:
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]  # importlib.abc would double the time of the import

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system: `exec_module` puts the real module in the new one's place."""

    def exec_module(self, module: ModuleType) -> None:
        """Import the module under its new name, with a warning, and let the old name stand for it."""
        before = module.__name__
        now = f"{self._prefix}{new_name(before.removeprefix(self._prefix))}"
        warnings.warn(
            f"{before} is {now} now: import that; the old name goes in the next release",
            DeprecationWarning,
            stacklevel=2,  # frames of importlib are not counted
        )
        sys.modules[before] = importlib.import_module(now)


def install(package: str) -> None:
    """Let the old names of a package's modules be imported.

    Args:
        package: The package's full name.
    """
    # before the others: the path of a package that moved would find its modules under their old names once more
    sys.meta_path.insert(0, MovedModules(package))
