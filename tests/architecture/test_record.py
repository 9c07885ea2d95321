"""One epoch of a search as data."""

import json

from nas.architecture import EpochRecord, Genotype


def test_a_record_is_plain_data_in_the_order_of_its_fields() -> None:
    genotype = Genotype("darts", {"num_nodes": 1}, {"normal/2": [["skip_connect", 0]]})
    record = EpochRecord(
        epoch=3,
        train_loss=1.5,
        train_accuracy=0.25,
        valid_loss=1.75,
        valid_accuracy=0.125,
        alphas={"normal/0-2/op": [0.5, -0.5]},
        genotype=genotype,
        seconds=2.5,
    )
    data = record.to_dict()
    assert list(data.items()) == [
        ("epoch", 3),
        ("train_loss", 1.5),
        ("train_accuracy", 0.25),
        ("valid_loss", 1.75),
        ("valid_accuracy", 0.125),
        ("alphas", {"normal/0-2/op": [0.5, -0.5]}),
        ("genotype", genotype.to_dict()),
        ("seconds", 2.5),
    ]
    assert json.loads(json.dumps(data)) == data
    assert Genotype.from_dict(data["genotype"]) == genotype
