from nas.tracking.candidate_table import CandidateRow, candidates_to_markdown, tabulate_candidates, write_candidates
from nas.tracking.candidates import Candidate, append_candidate, read_candidates
from nas.tracking.checkpoint import load_checkpoint, save_checkpoint
from nas.tracking.entropy import entropy
from nas.tracking.files import append_line, json_line, read_lines, remove_unfinished, write_atomically
from nas.tracking.formats import COSTS, COUNTED, to_csv, to_markdown, write_table
from nas.tracking.kept import NEWEST, keep_checkpoint, newest_checkpoint
from nas.tracking.machine import device_words, versions
from nas.tracking.runs import LeftOut, Runs, collect, is_run
from nas.tracking.summary import Summary, read_summary, write_summary
from nas.tracking.table import Row, Spread, Table, tabulate
from nas.tracking.tensorboard import TensorBoard

__all__ = [
    "COSTS",
    "COUNTED",
    "NEWEST",
    "Candidate",
    "CandidateRow",
    "LeftOut",
    "Row",
    "Runs",
    "Spread",
    "Summary",
    "Table",
    "TensorBoard",
    "append_candidate",
    "append_line",
    "candidates_to_markdown",
    "collect",
    "device_words",
    "entropy",
    "is_run",
    "json_line",
    "keep_checkpoint",
    "load_checkpoint",
    "newest_checkpoint",
    "read_candidates",
    "read_lines",
    "read_summary",
    "remove_unfinished",
    "save_checkpoint",
    "tabulate",
    "tabulate_candidates",
    "to_csv",
    "to_markdown",
    "versions",
    "write_atomically",
    "write_candidates",
    "write_summary",
    "write_table",
]
