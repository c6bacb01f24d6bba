"""The loaders of the editing datasets give our readers' pairs and words."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from PIL import Image, ImageOps

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's code, other people's warnings
SPLITS = ("train", "val", "test")


def squeezed(picture, side=256):
    """A picture as the loaders bring it to a square."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))


def pixels(tensor):
    """uint8 [h, w, 3] of a tensor -1..1."""
    return (tensor.permute(1, 2, 0).numpy() * 127.5 + 127.5).round().astype(np.uint8)


def assert_same(sample, record):
    """Both pictures and the words of a loader's sample are the record's."""
    assert (pixels(sample["edit"]["c_concat"]) == squeezed(record.image)).all()
    assert (pixels(sample["edited"]) == squeezed(record.target)).all()
    assert sample["edit"]["c_crossattn"].strip(" .!") == record.subjects[0]


@pytest.mark.parametrize("split", SPLITS)
def test_instruct_pix2pix(split, made, opened, public):
    """timothybrooks/instruct-pix2pix's edit_dataset.py: an entry of seeds.json, and one of its seeds drawn."""
    module = public("instruct-pix2pix", "edit_dataset", needs=["einops"])
    folder = made("instructpix2pix")
    theirs = module.EditDataset(str(folder), split)
    captions = module.EditDatasetEval(str(folder), split)
    reader = opened("instructpix2pix", folder, split)
    own = {}
    for index, record in reader.records():
        own.setdefault(reader.rows[index]["id"].split("/")[0], []).append(record)
    assert [name for name, _ in theirs.seeds] == list(own) and sum(map(len, own.values())) == len(reader)
    for index, records in enumerate(own.values()):
        sample = theirs[index]
        picture = pixels(sample["edit"]["c_concat"])
        (record,) = [r for r in records if (squeezed(r.image) == picture).all()]
        assert_same(sample, record)
        words = captions[index]
        assert words["input_prompt"] == record.caption
        assert words["output_prompt"] == record.meta["target_caption"]


@pytest.mark.parametrize("name", ["instructpix2pix", "magicbrush"])
def test_parquet(name, made, opened, public, tmp_path, monkeypatch):
    """Hugging Face's datasets, which wrote the published files, finds pictures where it wrote pictures."""
    pytest.importorskip("pyarrow")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    public("instruct-pix2pix", needs=["datasets"])
    source, target, words = {
        "instructpix2pix": ("original_image", "edited_image", "edit_prompt"),
        "magicbrush": ("source_img", "target_img", "instruction"),
    }[name]
    folder = made(f"{name}-parquet")
    for part, splits in {
        "instructpix2pix": {"train": SPLITS},
        "magicbrush": {"train": ["train"], "dev": ["val"]},
    }[name].items():
        files = sorted(str(path) for path in folder.glob(f"data/{part}-*.parquet"))
        table = sys.modules["datasets"].Dataset.from_parquet(files, cache_dir=str(tmp_path / "hf"))
        records = [record for split in splits for _, record in opened(name, folder, split).records()]
        assert len(table) == len(records)
        for entry, record in zip(table, records):
            assert (np.asarray(entry[source].convert("RGB")) == record.image).all()
            assert (np.asarray(entry[target].convert("RGB")) == record.target).all()
            assert entry[words].strip(" .!") == record.subjects[0]


@pytest.mark.parametrize("split", SPLITS)
def test_the_authors_shards(split, copied, opened, public, monkeypatch):
    """cientgu/InstructDiffusion's `FilteredIP2PDataset`: zip shards, and the list of pairs to keep."""
    folder = copied("instructpix2pix-zip")
    seeds = [
        f"{name}/{seed}" for name, some in json.loads((folder / "seeds.json").read_text()) for seed in some
    ]
    (folder / "filtered_ids_ip2p.json").write_text(json.dumps(seeds[::2] + seeds[-3:]))
    module = public("InstructDiffusion", "dataset.editing.edit_zip_dataset", needs=["einops"])
    monkeypatch.chdir(folder)  # where it looks for the list, which it would download
    theirs = module.FilteredIP2PDataset(str(folder), split, zip_end_index=2)
    reader = opened("instructpix2pix", folder, split)
    assert [f"{name}/{seed}" for name, seed in theirs.seeds] == [row["id"] for row in reader.rows]
    for index, record in reader.records():
        assert_same(theirs[index], record)


def test_the_authors_magicbrush(copied, opened, public):
    """Their magic_train.json, made of edit_sessions.json: both are read alike."""
    folder = copied("magicbrush") / "train"
    raw = [record for _, record in opened("magicbrush", folder.parent).records()]
    sessions = json.loads((folder / "edit_sessions.json").read_text())
    turns = [(f"images/{name}", turn) for name, some in sessions.items() for turn in some]
    packed = [
        {
            "input": f"{place}/{turn['input']}",
            "edited": f"{place}/{turn['output']}",
            "instruction": turn["instruction"],
        }
        for place, turn in turns
    ]
    (folder / "magic_train.json").write_text(json.dumps(packed))
    (folder / "edit_sessions.json").unlink()
    module = public("InstructDiffusion", "dataset.editing.edit_zip_dataset", needs=["einops"])
    theirs = module.MagicBrushDataset(str(folder))
    reader = opened("magicbrush", folder)
    assert len(theirs) == len(reader) == len(raw)
    for index, record in reader.records():
        assert_same(theirs[index], record)
        assert_same(theirs[index], raw[index])


class Unchanged:
    """A model that changes nothing and notes what it is told, as edit_cli_single_multi_turn.py asks one."""

    device = "cpu"

    def __init__(self):
        self.told = []

    def eval(self):
        return self

    cuda = eval

    def ema_scope(self):
        return contextlib.nullcontext()

    def get_learned_conditioning(self, words):
        self.told += words
        return words

    def encode_first_stage(self, picture):
        return SimpleNamespace(mode=lambda: picture)

    def decode_first_stage(self, latent):
        return latent


@pytest.mark.parametrize("split", SPLITS)
def test_magicbrush(split, made, opened, public, tmp_path, monkeypatch):
    """OSU-NLP-Group/MagicBrush's evaluation: its walk over the sessions, and the pairs that it then compares."""
    module = public("MagicBrush", "edit_cli_single_multi_turn", needs=["einops"])
    folder = made("magicbrush") / {"val": "dev"}.get(split, split)
    model, out = Unchanged(), tmp_path / "out"
    monkeypatch.setattr(module, "load_model_from_config", lambda *files: model)
    monkeypatch.setattr(
        module.K.external, "CompVisDenoiser", lambda m: SimpleNamespace(get_sigmas=lambda n: [1])
    )
    monkeypatch.setattr(
        module.K.sampling,
        "sample_euler_ancestral",
        lambda m, z, sigmas, extra_args: extra_args["cond"]["c_concat"][0],
    )
    monkeypatch.setattr(module, "CFGDenoiser", lambda m: m)
    places = ["--input_path", str(folder / "images"), "--output_path", str(out), "--resolution", "160"]
    monkeypatch.setattr(sys, "argv", ["edit_cli", *places])
    module.main()
    reader = opened("magicbrush", made("magicbrush"), split)
    records = {row["id"]: record for row, (_, record) in zip(reader.rows, reader.records())}
    said = [words for row in reader.rows for words in row["instructions"]]
    assert model.told == [
        "",
        *said,
        *said[1::2],
    ]  # nothing; all turns one upon another; the second turns by themselves
    evaluation = public("MagicBrush", "image_eval", "evaluation")
    pairs, last = evaluation.load_data(
        SimpleNamespace(generated_path=str(out), gt_path=str(folder / "images"))
    )
    assert len(pairs) == len(records) == 2 * len(last)
    rows = {str(reader.path(row["target"])): row["id"] for row in reader.rows}
    for drawn, true in pairs:
        record = records.pop(rows[true])
        with Image.open(drawn) as file, Image.open(true) as answer:
            assert (np.asarray(answer) == record.target).all()
            fitted = ImageOps.fit(Image.fromarray(record.image), file.size, method=Image.Resampling.LANCZOS)
            assert np.abs(np.asarray(file).astype(int) - fitted).max() <= 1
    assert not records and {rows[true].split()[-1] for _, true in last} == {"2"}


def test_the_authors_edits_in_the_wild(copied, opened, public, monkeypatch):
    folder = copied("ieiw-authors")
    list_file = folder / "meta_infov1.json"
    moved = list_file.read_text().replace("/somewhere/else/", "/mnt/external/tmp/2023/06/11/")
    list_file.write_text(moved)  # the place that their loader replaces
    module = public("InstructDiffusion", "dataset.editing.edit_zip_dataset", needs=["einops"])
    theirs = module.IEIWDataset(f"{folder}/")
    seen = 0
    for split in SPLITS:  # they use all of it in training
        for _, record in opened("ieiw", folder, split).records():
            assert_same(theirs[seen], record)
            seen += 1
    assert seen == len(theirs)


@pytest.mark.parametrize("split", SPLITS)
def test_the_authors_requests(split, copied, opened, public):
    """Their GIER_new.json: summaries as prompts, split 90, 5 and 5 % as ours."""
    folder = copied("gier")
    entries = json.loads((folder / "GIER.json").read_text())
    packed = [
        {"input": e["input"], "output": e["output"], "prompts": e["expert_summary"] + e["amateur_summary"]}
        for e in entries
    ]
    (folder / "GIER_new.json").write_text(json.dumps(packed))
    module = public("InstructDiffusion", "dataset.editing.edit_zip_dataset", needs=["einops"])
    theirs = module.GIERDataset(str(folder), split)
    reader = opened("gier", folder, split)
    assert len(theirs) == len(reader)
    for index, row in enumerate(reader.rows):
        sample, record = theirs[index], reader.record(index)
        assert (pixels(sample["edit"]["c_concat"]) == squeezed(record.image)).all()
        assert theirs.meta[index]["prompts"] == row["instructions"]
        assert sample["edit"]["c_crossattn"] in row["instructions"]
        if not record.meta.get("resized"):  # a target of another shape goes through our own resizing first
            assert (pixels(sample["edited"]) == squeezed(record.target)).all()


def requests(public, data, phase, masks=False):
    """jshi31/T2ONet's GIER, of the split that its define_split.py cut."""
    module = public("T2ONet", "data.GIER.GIER", needs=["cv2", "h5py", "pandas"])
    words = f"{module.__file__.removesuffix('/GIER/GIER.py')}/language"
    return module.GIER(str(data), words, phase, "full", masks, session=3)


def test_t2onet(copied, opened, public):
    """Its own random split covers the requests; each has our words, pictures and operators."""
    folder = copied("gier")
    entries = json.loads((folder / "GIER.json").read_text())
    (folder / "splits").mkdir()
    cut = public("T2ONet", "data.GIER.define_split", needs=["cv2"])
    cut.split_data(3, entries, str(folder / "splits"))
    own = {}
    for split in SPLITS:
        reader = opened("gier", folder, split)
        for index, record in reader.records():
            own[reader.rows[index]["image"].split("/")[-1]] = reader.rows[index], record
    seen = 0
    for phase in SPLITS:
        theirs = requests(public, folder, phase, masks=True)
        for pair in range(len(theirs)):
            row, record = own[theirs.op_data[pair]["input"]]
            item = theirs.get_pair_item(pair)
            assert item["request"] == row["instructions"]
            assert [theirs.id2op_vocab[n] for n in item["op_idx"] if n] == record.meta["operators"]
            for part, picture in (("input", record.image), ("output", record.target)):
                there = (item[part].permute(1, 2, 0).numpy() * 255).round()
                want = cut.cv2.resize(picture, (128, 128))
                assert np.abs(there - want).mean() < (4 if record.meta.get("resized") else 1), (
                    part,
                    row["id"],
                )
            changed = np.abs((item["input"] - item["output"]).numpy()).max(0) > 0.2
            (mask,) = item["mask_dict"].values()
            assert (changed & (mask > 0)).sum() > 0.9 * max(changed.sum(), (mask > 0).sum())
            seen += 1
    assert seen == len(entries) == len(own)


def test_the_published_requests_of_gier(checkout, opened, tmp_path):
    """The 618 records in T2ONet's data/GIER/splits/val_sess_3.json, with stand-ins for their pictures."""
    source = checkout("T2ONet") / "data" / "GIER" / "splits" / "val_sess_3.json"
    entries = json.loads(source.read_text())
    (tmp_path / "gier" / "images").mkdir(parents=True)
    (tmp_path / "gier" / "GIER.json").write_text(json.dumps(entries))
    for name in {entry[part] for entry in entries for part in ("input", "output")}:
        Image.new("RGB", (12, 8)).save(tmp_path / "gier" / "images" / name)
    rows = [row for split in SPLITS for row in opened("gier", tmp_path / "gier", split).rows]
    assert len(rows) == len(entries) == 618
    for row, entry in zip(rows, entries):
        said = [" ".join(words.split()) for words in entry["expert_summary"] + entry["amateur_summary"]]
        assert row["instructions"] == list(dict.fromkeys(said))
        assert row["image"] == f"images/{entry['input']}" and row["target"] == f"images/{entry['output']}"
        assert row["meta"]["operators"] == list(entry["operator"])


def test_inst_inpaint(made, opened, public, monkeypatch):
    """abyildirim/inst-inpaint's gqa_inpaint.py, its pictures cut to a square and left at their size."""
    monkeypatch.setattr(
        PIL.Image, "LINEAR", PIL.Image.BILINEAR, raising=False
    )  # a name of it before Pillow 10
    module = public("inst-inpaint", "dataset.gqa_inpaint")
    folder = made("gqa-inpaint")
    places = {
        name: str(folder / name.removesuffix("_root")) for name in ("images_root", "images_inpainted_root")
    }
    for split in ("train", "test"):
        options = {**places, "masks_root": str(folder / "masks"), "size": None}
        if split == "test":
            options["test_instructions_path"] = str(folder / "test_instructions.json")
        kind = {"train": module.GQAInpaintTrain, "test": module.GQAInpaintTest}[split]
        theirs = kind(scene_json_path=str(folder / f"{split}_scenes.json"), **options)
        reader = opened("gqa-inpaint", folder, split)
        assert theirs.ids == [row["id"] for row in reader.rows]
        for index, record in reader.records():
            sample = theirs[index]
            height, width = record.image.shape[:2]
            left = (width - height) // 2
            for part, picture in (("source_image", record.image), ("target_image", record.target)):
                values = (sample[part].transpose(1, 2, 0) * 127.5 + 127.5).round()
                assert (values == picture[:, left : left + height]).all()
            changed = np.abs(sample["source_image"] - sample["target_image"]).max(0) > 0.2
            (mask,) = sample["mask"] > 0.5
            assert (changed & mask).sum() > 0.9 * max(changed.sum(), mask.sum())
            said = {str(theirs[index]["text"]) for _ in range(40)}
            own = {reader.record(index, random.Random(n)).subjects[0] for n in range(40)}
            # They give the thing beside it one of its attributes too ("the blue cup").
            assert {words.replace("blue ", "") for words in said} == own
