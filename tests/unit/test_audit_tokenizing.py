"""The provider's tokenizer in its real form: a byte-level BPE in a tokenizer.json, as it comes with a served model."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.audit_stand import planned, standing

from clonewatch.audit import answers, samples, tokenizing, watermark
from clonewatch.audit.prf import VllmPhilox, Watermark
from clonewatch.model.errors import InputError

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed: no tokenizer.json can be read")

WORDS = [
    f"{a}{b}{c}" for a in ("gar", "lum", "ser", "tov") for b in ("a", "e", "i") for c in ("den", "nic", "por", "x")
]
KEY = VllmPhilox(77, 1)


def trained(place: Path, size: int, seed: int) -> Path:
    """A byte-level BPE of made-up text, saved as tokenizer.json."""
    draw = np.random.default_rng(seed)
    text = [" ".join(draw.choice(WORDS, 12).tolist()) + ", naïve 東京." for _ in range(300)]
    told = tokenizers.Tokenizer(tokenizers.models.BPE())
    told.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    told.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    told.train_from_iterator(
        text,
        tokenizers.trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
        ),
    )
    told.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    told.save(str(place))
    return place


def served(place: Path, count: int = 30) -> list[str]:
    """Texts that a model with this tokenizer wrote under a green list."""
    whole = tokenizers.Tokenizer.from_file(str(place))
    ids = np.array([whole.token_to_id("Ġ" + word) for word in WORDS if whole.token_to_id("Ġ" + word) is not None])
    assert len(ids) > 30
    draw, texts = np.random.default_rng(3), []
    for _ in range(count):
        row = [int(draw.choice(ids))]
        while len(row) < 40:
            drawn = int(draw.choice(ids))
            if KEY.uniform(np.array([[row[-1]]]), np.array([drawn]))[0] < 0.5:
                row.append(drawn)
        texts.append(whole.decode(row))
    return texts


def test_text_comes_back_as_the_ids_it_was_served_with_and_no_special_token_is_added(tmp_path: Path) -> None:
    place = trained(tmp_path / "tokenizer.json", 420, 1)
    ours = tokenizing.read(place)
    whole = tokenizers.Tokenizer.from_file(str(place))
    text = " garaden naïve 東京, lumex"
    ids = ours.encode(text)
    assert whole.decode(ids) == text and 0 not in ids and ours.unknown == -1


def test_a_watermark_is_confirmed_through_its_own_tokenizer_and_refused_through_another(tmp_path: Path) -> None:
    right, wrong = (trained(tmp_path / f"{size}.json", size, size) for size in (420, 290))
    texts = served(right)
    own = samples.from_texts(texts, tokenizing.read(right).encode)
    assert watermark.confirm(own, Watermark(KEY, "kgw")).log10_p < -6
    with pytest.raises(InputError, match="does not carry this watermark"):
        watermark.confirm(samples.from_texts(texts, tokenizing.read(wrong).encode), Watermark(KEY, "kgw"))


def test_probabilities_over_our_pieces_are_read_and_over_those_of_another_tokenizer_are_not(tmp_path: Path) -> None:
    ours = tokenizing.read(trained(tmp_path / "tokenizer.json", 420, 1))
    text = " garaden lumex"
    ids = ours.encode(text)
    pieces = [" garaden", " lumex"]
    assert [ours.encode(piece) for piece in pieces] == [[i] for i in ids]
    most = [{piece: -0.1, " serinic": -3.0} for piece in pieces]
    told = answers.likely(ours, pieces, most, ids, 0)
    assert told is not None and told.token[0].tolist() == [ids[0], ours.encode(" serinic")[0]]
    assert answers.likely(ours, [" gara", "den", " lumex"], [most[0], *most], ids, 0) is None


def test_a_plan_copies_a_real_tokenizer(tmp_path: Path) -> None:
    with standing(lambda *_: (500, {}, {})) as (url, _):
        planned(tmp_path, url)
    place = trained(tmp_path / "tokenizer.json", 420, 1)
    settings = tmp_path / "settings.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("words.txt", "tokenizer.json"), encoding="utf-8")
    from clonewatch.audit.run import make_plan

    make_plan(settings, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "tokenizer.json").read_bytes()) == json.loads(place.read_bytes())
