"""Mini batches, the journal and the loop, with scorers that fail as real ones do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import SpecError, VerifyError
from lading.score import FailedError, Journal, Rows, lend, mini_batches, place, plan, run


class Lengths:
    """Answers the length of each file's text; fails, or breaks off, where a text says so."""

    def __init__(self, files):
        self.files, self.calls = files, []

    def score(self, paths):
        self.calls.append(tuple(path.rpartition("/")[2] for path in paths))
        texts = [self.files[path].read_text() for path in paths]
        if "bad" in texts:
            raise FailedError("Traceback\nValueError: bad")
        if "stop" in texts:
            raise KeyboardInterrupt
        return Rows(
            [[path.rpartition("/")[2], len(text)] for path, text in zip(paths, texts, strict=True)],
            len(paths),
        )


@pytest.fixture
def data(tmp_path):
    (folder := tmp_path / "data").mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text("x" * number)
    return folder


def scored(data, output, *, size=2, retries=0, threshold=-1, restart=False, package="p"):
    files = place([data]).files
    batches = mini_batches(files, size)
    scorer = Lengths(files)
    journal = Journal(output, plan(batches, package), appends=True, restart=restart)
    with journal:
        tally = run(batches, scorer, journal, retries=retries, error_threshold=threshold)
    return scorer.calls, tally


WHOLE = "0.txt,0\n1.txt,1\n2.txt,2\n3.txt,3\n4.txt,4\n"


def test_files_are_scored_in_their_order_and_no_journal_is_left(data, tmp_path):
    output = tmp_path / "out" / "predictions.csv"
    calls, tally = scored(data, output)
    assert calls == [("0.txt", "1.txt"), ("2.txt", "3.txt"), ("4.txt",)]
    assert output.read_text() == WHOLE
    assert (tally.files, tally.rows, tally.failed_files) == (5, 5, 0)
    assert [one.name for one in output.parent.iterdir()] == ["predictions.csv"]


def test_a_run_that_was_broken_off_goes_on_where_it_was(data, tmp_path):
    output = tmp_path / "o.csv"
    (data / "4.txt").write_text("stop")
    with pytest.raises(KeyboardInterrupt):
        scored(data, output)
    with output.open("a") as file:
        file.write("half a li")  # what was written as the machine went down
    with (tmp_path / "o.csv.progress.jsonl").open("a") as file:
        file.write('{"batch": 2, "e')
    (data / "4.txt").write_text("x" * 4)
    calls, tally = scored(data, output)
    assert calls == [("4.txt",)]
    assert output.read_text() == WHOLE
    assert tally.resumed == 2


def test_what_failed_is_told_and_tried_again_by_the_next_run_alone(data, tmp_path):
    output = tmp_path / "o.csv"
    (data / "2.txt").write_text("bad")
    calls, tally = scored(data, output, retries=2)
    assert calls.count(("2.txt", "3.txt")) == 3
    assert (tally.failed_files, tally.rows) == (2, 3)
    assert tally.failures == [
        {"files": ["/var/lading-data/2.txt", "/var/lading-data/3.txt"], "error": "Traceback\nValueError: bad"}
    ]
    (data / "2.txt").write_text("xx")
    calls, _ = scored(data, output)
    assert calls == [("2.txt", "3.txt")]
    assert sorted(output.read_text().splitlines()) == WHOLE.splitlines()


def test_more_failures_than_allowed_end_the_run_and_keep_what_there_is(data, tmp_path):
    (data / "2.txt").write_text("bad")
    with pytest.raises(VerifyError) as caught:
        scored(data, tmp_path / "o.csv", threshold=1)
    assert "2 files failed, expected 1 at most" in str(caught.value)
    assert (tmp_path / "o.csv").read_text() == "0.txt,0\n1.txt,1\n"


@pytest.mark.parametrize("change", [{"package": "q"}, {"size": 3}])
def test_the_output_of_another_plan_is_never_continued(data, tmp_path, change):
    (data / "2.txt").write_text("bad")
    scored(data, tmp_path / "o.csv")
    with pytest.raises(SpecError, match="was begun with another package, other files"):
        scored(data, tmp_path / "o.csv", **change)
    scored(data, tmp_path / "o.csv", **change, restart=True)


def test_a_file_that_changed_after_it_was_scored_is_told_of(data, tmp_path):
    (data / "2.txt").write_text("bad")
    scored(data, tmp_path / "o.csv")
    (data / "1.txt").write_text("longer")
    with pytest.raises(SpecError, match="has changed since it was scored"):
        scored(data, tmp_path / "o.csv")


def test_a_finished_output_is_not_overwritten(data, tmp_path):
    scored(data, tmp_path / "o.csv")
    with pytest.raises(SpecError, match="is there already"):
        scored(data, tmp_path / "o.csv")


def test_a_result_that_is_too_short_counts_as_failed_files(data, tmp_path):
    batches = mini_batches(place([data]).files, 5)

    class Silent:
        def score(self, _):
            return Rows(["only one line"], 1)

    journal = Journal(tmp_path / "o", plan(batches), appends=True)
    with journal:
        tally = run(batches, Silent(), journal, retries=0, error_threshold=-1)
    assert tally.failed_files == 4
    assert (tmp_path / "o").read_text() == "only one line\n"


@given(count=st.integers(1, 30), size=st.integers(1, 40))
def test_mini_batches_hold_every_file_once_in_order(count, size, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "one"
    file.touch()
    files = {f"/d/{number}": file for number in range(count)}
    batches = mini_batches(files, size)
    assert [path for one in batches for path in one.paths] == list(files)
    assert all(len(one.paths) <= size for one in batches)


def test_what_is_no_data_is_told_all_at_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.csv").touch()
    (tmp_path / "x.csv").touch()
    with pytest.raises(SpecError) as caught:
        place([tmp_path / "a/x.csv", tmp_path / "x.csv", tmp_path / "none"])
    assert [one.what.partition("'")[0] for one in caught.value.issues] == ["", "two files are called "]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="there is no file in"):
        place([tmp_path / "empty"])
    with pytest.raises(SpecError, match="names nothing"):
        place([])


@pytest.mark.parametrize("hidden", ["", "sub", "sub/a.txt"])
def test_files_that_their_owner_alone_may_read_are_copied_for_the_sandboxs_user(tmp_path, hidden):
    (folder := tmp_path / "data").mkdir()
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("a")
    placed = place([folder])
    assert lend(placed, tmp_path / "copy") is placed
    (folder / hidden).chmod(0o700)
    lent = lend(placed, tmp_path / "copy")
    assert lent.mounts == {"/var/lading-data": tmp_path / "copy"}
    assert (tmp_path / "copy" / "sub" / "a.txt").read_text() == "a"
    assert lend(place([tmp_path / "copy"]), tmp_path / "again").mounts == {
        "/var/lading-data": tmp_path / "copy"
    }


def test_the_journal_is_json_lines(data, tmp_path):
    (data / "0.txt").write_text("bad")
    scored(data, tmp_path / "o.csv")
    lines = [json.loads(one) for one in (tmp_path / "o.csv.progress.jsonl").read_text().splitlines()]
    assert [sorted(one) for one in lines] == [
        ["plan"],
        ["batch", "error"],
        ["batch", "digest", "end"],
        ["batch", "digest", "end"],
    ]
