"""Made-up copies of the datasets: whole ones to read, and copies to damage."""

from __future__ import annotations

import os
import shutil

import pytest

from instructdiffusion.datasets.fixtures import write_fixture


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_disks():
    """What tests write need not outlive a power cut; waiting for the disk is most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """name -> (folder, expected counts), written once."""
    base, known = tmp_path_factory.mktemp("datasets"), {}

    def get(name):
        if name.endswith("-parquet"):
            pytest.importorskip("pyarrow")
        if name not in known:
            known[name] = base / name, write_fixture(name, base / name)
        return known[name]

    return get


@pytest.fixture
def copied(made, tmp_path):
    """A copy of a dataset's folder, to damage, with its counts and a cache of its own."""

    def get(name):
        folder, counts = made(name)
        shutil.copytree(folder, tmp_path / "data")
        return tmp_path / "data", counts, tmp_path / "cache"

    return get
