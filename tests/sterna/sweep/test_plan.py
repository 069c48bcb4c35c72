"""The plan of a sweep: what it says becomes tasks, what it cannot mean is refused by name."""

import pytest
from sweepcase import write_plan

from sterna.golden.errors import SternaError, UsageError
from sterna.sweep.jobs import tasks_of
from sterna.sweep.plan import MOST, numbers, read_plan, values_of

HEAD = '[[jobs]]\nkind = "script"\ncall = "calls.py:square"\nfiles = "helper.py"\n'
SEEDS = '[[jobs]]\nkind = "seeds"\nbuild = "digits"\n'


def plan(tmp_path, text):
    return read_plan(write_plan(tmp_path, text))


def tasks(tmp_path, text):
    packs = {}
    return [t for job in plan(tmp_path, text) for t in tasks_of(job, packs, lambda t: {})]


def test_a_grid_is_every_combination_once(tmp_path):
    found = tasks(tmp_path, HEAD + 'arguments = { n = "0-2,7", word = ["a", "b"], x = 1.5 }\n')
    assert [t.arguments["arguments"] for t in found] == [
        {"n": n, "word": w, "x": 1.5} for n in (0, 1, 2, 7) for w in "ab"
    ]
    assert len({t.id for t in found}) == 8


def test_ids_go_by_content_and_not_by_place(tmp_path):
    text = HEAD + 'arguments = { n = "5" }\n'
    one, other = (tasks(tmp_path / name, text)[0] for name in ("a b", "ü"))
    assert one.id == other.id
    (tmp_path / "ü" / "helper.py").write_text("def twice(n):\n    return n + n\n")
    (job,) = read_plan(tmp_path / "ü" / "plan.toml")
    assert tasks_of(job, {}, lambda t: {})[0].id != one.id


def test_seeds_of_a_board_share_one_netlist(tmp_path):
    found = tasks(tmp_path, SEEDS + 'board = "icebreaker"\nseeds = ["1-3", 9]\n')
    assert [t.arguments["seed"] for t in found] == [1, 2, 3, 9]
    assert len({t.before.id for t in found}) == 1 and len(found[0].packs) == 1


@pytest.mark.parametrize(
    ("value", "found"), [("0-3", [0, 1, 2, 3]), ("2", [2]), (4, [4]), (["1-2", 5], [1, 2, 5])]
)
def test_numbers(tmp_path, value, found):
    (job,) = plan(tmp_path, HEAD + "arguments = { n = 1 }\n")
    assert numbers(job, "seeds", value) == found
    assert values_of(job, "n", ["1-2", True]) == ["1-2", True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no jobs"),
        ("jobs = []", "has no jobs"),
        ("[jobs]\nkind = 1", "has no jobs"),
        ("x = 1\n[[jobs]]", "'x' is no part of a plan"),
        ('[[jobs]]\nkind = "seed"', "did you mean 'seeds'"),
        ("[[jobs]]\n", "kind None"),
        (SEEDS + 'board = "icebreaker"', "seeds is missing"),
        (SEEDS + 'board = "icebreaker"\nsedes = 1', "did you mean 'seeds'"),
        (SEEDS + 'board = "icebreaker"\nseeds = true', "must be a text or a whole number or"),
        (SEEDS + 'board = "icebreaker"\nseeds = ""', "seeds is empty"),
        (SEEDS + 'board = "icebreaker"\nseeds = []', "seeds is empty"),
        (SEEDS + 'board = "icebreaker"\nseeds = "8-1"', "write the smaller one first"),
        (SEEDS + 'board = "icebreaker"\nseeds = "1-4,4"', "has 4 twice"),
        (SEEDS + 'board = "icebreaker"\nseeds = "0-2000000000"', "holds 2,000,000,001 numbers"),
        (SEEDS + 'board = "icebreaker"\nseeds = "0-99999999999"', "goes beyond"),
        (SEEDS + 'board = "icebreaker"\nseeds = -1', "is no number and no range"),
        (SEEDS + 'board = "pynq-z2"\nseeds = 1', "placed by Vivado"),
        (SEEDS + 'board = "nosuch"\nseeds = 1', "nosuch"),
        ('[[jobs]]\nkind = "seeds"\nbuild = "nosuch"\nboard = "icebreaker"\nseeds = 1', "nosuch"),
        (HEAD + "arguments = { n = [] }", "arguments.n is empty"),
        (HEAD + "arguments = { n = [1, 1] }", "twice"),
        (HEAD + "arguments = { n = [[1]] }", "is no text, number"),
        (HEAD + 'arguments = { "a b" = 1 }', "no name of an argument"),
        (HEAD + 'arguments = { n = "0-999", m = "0-999" }', "make 1,000,000 tasks"),
        (HEAD + "arguments = { n = 1 }\nname = 'a/b'", "must be letters"),
        (HEAD + "arguments = {}\n" + HEAD + "arguments = {}\nname = 'script_1'", "two jobs"),
        ('[[jobs]]\nkind = "script"\ncall = "calls.py"\narguments = {}', "FILE.py:FUNCTION"),
        ('[[jobs]]\nkind = "script"\ncall = "calls.py:nope"\narguments = {}', "has no def nope("),
        ('[[jobs]]\nkind = "script"\ncall = "none.py:f"\narguments = {}', "does not exist"),
        (HEAD.replace("helper.py", "no*.py") + "arguments = {}", "there is no such file"),
        ('[[jobs]]\nkind = "accuracy"\nnetworks = ["digits", "digits"]', "each once"),
        ('[[jobs]]\nkind = "accuracy"\nnetworks = "digits"\nslice = 0', "from 1 to"),
        ('[[jobs]]\nkind = "accuracy"\nnetworks = "digits"\nimages = 10000000', "fewer"),
        ('[[jobs]]\nkind = "accuracy"\nnetworks = "digits"\nsplit = "tset"', "'test'"),
        ('[[jobs]]\nkind = "foldings"\nnetwork = "digits"\npoints = 0', "from 1 to"),
        ('[[jobs]]\nkind = "foldings"\nnetwork = "digits"\nfamily = "ecp6"', "'ecp5'"),
        ('[[jobs]]\nkind = "foldings"\nnetwork = "digits"\nclock = -1.0', "above 0"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(tmp_path, text, said):
    with pytest.raises(SternaError) as caught:
        tasks(tmp_path, text)
    assert said in str(caught.value)


def test_a_sweep_has_so_many_tasks_at_most(tmp_path):
    (job,) = plan(tmp_path, HEAD + "arguments = { n = 1 }\n")
    assert len(numbers(job, "n", f"1-{MOST}")) == MOST
    with pytest.raises(UsageError, match="tasks at most"):
        numbers(job, "n", f"0-{MOST}")
