"""MATLAB files: MPII's own, and what is looked over before the compiled reader sees it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from instructdiffusion.datasets.readers import LayoutMissing, mat_files, open_reader
from instructdiffusion.datasets.readers.mat_files import check_mat, load_mat, load_variable
from instructdiffusion.datasets.readers.problems import Flaw

MAT = "mpii_human_pose_v1_u12_1.mat"
HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def compressed(data):
    packed = zlib.compress(data)
    return HEAD + struct.pack("<II", 15, len(packed)) + packed


def nested(depth):
    """A variable RELEASE of cells within cells."""
    body, head = b"\x0e\0\0\0\0\0\0\0", struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1)
    for _ in range(depth):
        inner = head + struct.pack("<II", 1, 0) + body
        body = struct.pack("<II", 14, len(inner)) + inner
    inner = head + struct.pack("<II", 1, 7) + b"RELEASE\0" + body
    return struct.pack("<II", 14, len(inner)) + inner


def test_persons_of_the_official_file(made, tmp_path):
    folder, _ = made("mpii-mat")
    reader = open_reader("mpii", folder, "trainval", cache=tmp_path)
    assert reader.left_out == {"without joints": 2}  # of the two pictures that are for training
    first = reader.ask(0, ["left elbow", "right elbow"])
    assert first.meta["image_id"] == "images/015601864.jpg" and first.meta["size"] == (220, 320)
    joints = first.meta["joints"]
    assert joints.shape == (16, 3)
    assert joints[14, 2] == 1 and joints[11, 2] == 2 and joints[8, 2] == 2  # hidden, visible, nobody looked
    whole = np.asarray(reader.load("images/015601864.jpg"))
    for x, y, v in joints:
        assert v and whole[int(y), int(x)].min() > 200  # a white dot lies on each
    other = reader.ask(1, ["left hip"])
    assert other.meta["joints"][3].tolist() == [0, 0, 0] and "absent" in other.tags
    # Figures stand in boxes of 12, 10, 130, 200 and so on: the box is the square around their centre.
    assert first.meta["box"][3] - first.meta["box"][1] == pytest.approx(200)


def test_other_splits_say_what_the_official_file_lacks(made, tmp_path):
    folder, _ = made("mpii-mat")
    for split in ("train", "val", "test"):
        with pytest.raises(LayoutMissing, match=f"{MAT} is there: it is read as split trainval"):
            open_reader("mpii", folder, split, cache=tmp_path)
    with pytest.raises(LayoutMissing, match=MAT):  # what to add is named where neither is there
        open_reader("mpii", tmp_path, "trainval", cache=tmp_path)


def person(**fields):
    point = np.empty((1, 1), [(n, object) for n in ("x", "y", "id", "is_visible")])
    point[0, 0] = (5.0, 6.0, 3, "1")
    values = {"annopoints": cell(point=point), "scale": 1.0, "objpos": cell(x=5.0, y=6.0), **fields}
    return cell(**values)


def cell(**fields):
    array = np.empty((1, 1), [(n, object) for n in fields])
    array[0, 0] = tuple(fields.values())
    return array


BROKEN = {
    "no scale": (person(scale=[]), "the scale is None"),
    "no centre": (person(objpos=[]), "the centre is None"),
    "scale in words": (person(scale="large"), "the scale is None"),
    "joint 16": (person(annopoints=cell(point=cell(x=1.0, y=1.0, id=16, is_visible=1))), "joint is 16"),
    "no y": (person(annopoints=cell(point=cell(x=1.0, id=1, is_visible=1))), "a coordinate of a joint is None"),
    "endless x": (person(annopoints=cell(point=cell(x=np.inf, y=1.0, id=1, is_visible=1))), "finite"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_persons_are_named_and_the_others_count(fault, copied):
    broken, reason = BROKEN[fault]
    folder, _, cache = copied("mpii-mat")
    picture = cell(image=cell(name="015601864.jpg"), annorect=broken)
    good = cell(image=cell(name="015599452.jpg"), annorect=person())
    save(folder, annolist=np.hstack([picture, good]), img_train=np.uint8([[1, 1]]))
    reader = open_reader("mpii", folder, "trainval", cache=cache)
    assert len(list(reader.records())) == 1
    (problem,) = reader.problems
    assert problem.file == MAT and problem.record == "015601864.jpg, person 0" and reason in problem.reason


@pytest.mark.parametrize(
    ("release", "reason"),
    [
        ({"annolist": np.zeros((1, 0)), "img_train": np.zeros((1, 0))}, "there is no record"),
        ({"annolist": np.zeros((1, 0))}, "no RELEASE with annolist"),
        ({"annolist": np.ones((1, 2)), "img_train": np.ones((1, 2))}, "no list of pictures"),
        ({"annolist": cell(image="a"), "img_train": np.ones((1, 2))}, "1 pictures and 2 flags"),
    ],
)
def test_other_files_of_that_name_are_broken_as_a_whole(release, reason, copied):
    folder, _, cache = copied("mpii-mat")
    save(folder, **release)
    reader = open_reader("mpii", folder, "trainval", cache=cache)
    assert len(reader) == 0 and reason in reader.problems[0].reason and reader.problems[0].file == MAT


def save(folder, **fields):
    stream = io.BytesIO()
    savemat(stream, {"RELEASE": cell(**fields)})
    (folder / MAT).write_bytes(stream.getvalue())


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_nested_without_end_are_refused_and_not_followed(packed, tmp_path):
    """A depth of 300,000, 600 KB of a file, ended the process in scipy's compiled reader."""
    path = tmp_path / "deep.mat"
    for depth, deep in ((30, False), (33, True), (3000, True)):
        path.write_bytes(compressed(nested(depth)) if packed else HEAD + nested(depth))
        if deep:
            with pytest.raises(Flaw, match="deeper than 32"):
                load_variable(path, "RELEASE")
        else:
            assert load_variable(path, "RELEASE").shape == (1, 1)


def test_a_small_file_that_holds_much_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "large.mat"
    savemat(path, {"x": np.zeros(200_000)}, do_compression=True)
    assert path.stat().st_size < 4000
    assert load_mat(path, "x").shape == (1, 200_000)
    monkeypatch.setattr(mat_files, "LARGEST", 1_500_000)
    with pytest.raises(Flaw, match="more than 1500000 bytes"):
        load_mat(path, "x")
    monkeypatch.undo()
    cells = np.empty(5000, object)
    cells[:] = [np.zeros((0, 0))] * 5000
    savemat(path, {"x": cells}, do_compression=True)
    monkeypatch.setattr(mat_files, "MOST", 5001)
    check_mat(path)
    monkeypatch.setattr(mat_files, "MOST", 5000)
    with pytest.raises(Flaw, match="more than 5000 arrays"):
        check_mat(path)


def test_numbers_that_look_like_arrays_are_none(tmp_path):
    path = tmp_path / "numbers.mat"
    values = np.tile(np.uint32([14, 1 << 20]), 40_000)  # each pair says: here an array of a mebibyte begins
    for packed in (False, True):
        savemat(path, {"x": values}, do_compression=packed)
        np.testing.assert_array_equal(load_mat(path, "x")[0], values)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cut", [0, 60, 127, 131, 150])
def test_what_is_cut_off_is_named(order, cut, tmp_path):
    path = tmp_path / "cut.mat"
    savemat(path, {"x": np.arange(500)})
    data = path.read_bytes()
    if order == ">":
        data = data[:124] + b"\x01\x00MI" + data[128:]
    path.write_bytes(data[:cut])
    with pytest.raises(Flaw, match="cut off or damaged"):
        load_mat(path, "x")


def test_a_newer_version_is_named(tmp_path):
    path = tmp_path / "new.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(Flaw, match="MATLAB 7.3"):
        load_variable(path, "x")
