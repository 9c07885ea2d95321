from nas.reading.archives import check_archive
from nas.reading.files import opened, read_bytes, read_text
from nas.reading.forms import require_count, require_form, require_keys
from nas.reading.json_text import parse_json
from nas.reading.plain import check_plain
from nas.reading.tensors import load_tensors
from nas.reading.weights import differences
from nas.reading.words import one_line, shown
from nas.reading.yaml_text import check_yaml

__all__ = [
    "check_archive",
    "check_plain",
    "check_yaml",
    "differences",
    "load_tensors",
    "one_line",
    "opened",
    "parse_json",
    "read_bytes",
    "read_text",
    "require_count",
    "require_form",
    "require_keys",
    "shown",
]
