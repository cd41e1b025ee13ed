"""The report: what it says of runs, and that it needs nothing but itself."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from brownout.simulate import report
from brownout.simulate.figures import figures
from brownout.simulate.record import Record
from brownout.simulate.report import series
from brownout.simulate.results import Comparison, Provenance, summarise
from support.build import cell
from support.record_builder import alone, during, record, scenario

NEW = cell("image", tier="free/new-accounts")
REST = cell("image", tier="free")
PRO = cell("image", tier="pro", always=True)
VIDEO = cell("video", tier="free", shed_order=10)


def shed_run(controller: str = "ours", scenario_name: str = "made-by-hand") -> Record:
    """20 minutes, of which the rest of free is on `lite` for two and new accounts are half denied for one; pro is whole."""
    return record(
        PRO,
        REST,
        NEW,
        ticks=240,
        variant={1: during(240, (60, 84, 1)), 2: during(240, (60, 72, 1))},
        percent={2: during(240, (60, 72, 50), otherwise=100)},
        good={2: during(240, (60, 72, 4.0), otherwise=10.0)},
        controller=controller,
        scenario=scenario_name,
        user_cell=np.array([1, 1, 2]),
        user_asked=np.array([1200, 1200, 2400]),
        user_good=np.array([1200, 1200, 2328]),
    )


def comparison(*runs: Record, name: str = "made-by-hand") -> Comparison:
    world = scenario(seconds=1200, episodes=[(300, 420)])
    judged = {one.controller: {1: figures(one, world, ideal=None, oracle_sheds=None)} for one in runs}
    made_of = Provenance(scenario=name, scenario_hash="a" * 64, machine="two cores <here>", python="3.11")
    return summarise(judged, made_of, hpa="hpa", programme="o2", bounds={"o2": {1: 0.99}})


class Page(HTMLParser):
    """The tags, the addresses that a browser would fetch, and the ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.fetched: list[str] = []
        self.ids: Counter[str] = Counter()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "srcset") and value and not value.startswith("#"):
                self.fetched.append(value)
            if name == "id" and value:
                self.ids[value] += 1

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs = [shed_run("hpa"), shed_run("ours")]
    path = tmp_path_factory.mktemp("report") / "folder" / "report.html"
    other = comparison(shed_run("hpa", "S2"), shed_run("ours", "S2"), name="S2")
    report.write(path, [comparison(*runs), other], runs, summaries={"made-by-hand": "Images < go viral."})
    return path.read_text()


def test_the_page_needs_no_network_and_no_script(page: str) -> None:
    found = Page(page)
    assert found.fetched == []
    assert found.tags["script"] == found.tags["link"] == found.tags["iframe"] == 0
    assert "@import" not in page
    assert re.findall(r"url\((?!#)[^)]*\)", page) == []


def test_plots_on_one_page_share_no_ids(page: str) -> None:
    found = Page(page)
    assert found.tags["svg"] == 3
    assert [name for name, count in found.ids.items() if count > 1] == []
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', page))
    assert used <= set(found.ids)


def test_ink_follows_the_page_into_the_dark(page: str) -> None:
    svg = page[page.index("<svg") :]
    assert "var(--ink)" in svg
    assert "#1f2328" not in svg
    assert "prefers-color-scheme: dark" in page


def test_what_comes_from_a_scenario_is_escaped(page: str) -> None:
    assert "Images &lt; go viral." in page
    assert "two cores &lt;here&gt;" in page


def test_brownout_comes_first_and_unfolded(page: str) -> None:
    folds = re.findall(r"<details( open)?><summary>([^<]+) <span>", page)
    assert folds == [(" open", "Brownout"), ("", "HPA")]


def test_every_controller_has_a_row_and_brownout_stands_out(page: str) -> None:
    assert "<tr class=ours><td>Brownout</td>" in page
    assert "<tr><td>HPA</td>" in page
    assert "decided with foresight (O2)" in page


def test_a_run_without_a_comparison_has_its_plots(tmp_path: Path) -> None:
    report.write(tmp_path / "run.html", [], [shed_run()])
    found = Page((tmp_path / "run.html").read_text())
    assert found.tags["svg"] == 1
    assert "score" not in found.words


def test_an_outage_and_a_restart_are_explained(tmp_path: Path) -> None:
    report.write(tmp_path / "calm.html", [], [shed_run()])
    troubled = record(PRO, REST, stale=np.arange(120) < 10, restarts=(300.0,))
    report.write(tmp_path / "troubled.html", [], [troubled])
    for words in ("Grey: no metrics could be had.", "Dotted: the controller was restarted."):
        assert words in (tmp_path / "troubled.html").read_text()
        assert words not in (tmp_path / "calm.html").read_text()


def test_a_day_has_an_axis_of_hours(tmp_path: Path) -> None:
    report.write_run(tmp_path / "day.svg", record(PRO, REST, ticks=17280))
    report.write_run(tmp_path / "hour.svg", record(PRO, REST, ticks=720))
    assert ">hours<" in (tmp_path / "day.svg").read_text()
    assert ">minutes<" in (tmp_path / "hour.svg").read_text()


def test_plots_as_files_are_whole_images_and_always_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        report.write_run(tmp_path / folder / "run.svg", shed_run())
        report.write_values(tmp_path / folder / "values.svg", [comparison(shed_run("hpa"), shed_run())])
        report.write_run(tmp_path / folder / "run.png", shed_run())
    for name in ("run.svg", "values.svg", "run.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert ElementTree.parse(tmp_path / "a" / "run.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "a" / "run.png").read_bytes().startswith(b"\x89PNG")


def test_who_lost_what_is_told_for_the_time_below_the_first_variant() -> None:
    lost = {series.title(one.cell): one for one in series.losses(shed_run())}
    assert list(lost) == ["image · free · new-accounts", "image · free"]
    assert lost["image · free"].minutes == 2.0
    assert lost["image · free"].deepest == "lite"
    new = lost["image · free · new-accounts"]
    assert (new.minutes, new.deepest) == (1.0, "lite for 50 %, denied for the rest")
    assert (new.asked, new.good, new.late, new.refused) == (120.0, 48.0, 0.0, 72.0)


def held_run() -> Record:
    """A script of the rest of free is denied alone for three minutes; all cells are whole."""
    return record(PRO, REST, ticks=120, alone=(alone("script-7", variant=during(120, (60, 96, 2.0)), good=1.0),))


def test_who_was_held_back_alone_is_named_with_what_it_lost() -> None:
    (lost,) = series.losses(held_run())
    assert series.title(lost.cell) == "image · free · script-7 alone"
    assert (lost.minutes, lost.deepest, lost.users) == (3.0, "denied", 1.0)
    assert (lost.asked, lost.good, lost.refused) == (180.0, 36.0, 144.0)


def test_a_part_of_a_user_is_told_as_a_part_of_the_time() -> None:
    part = during(120, (60, 72, 45.0), otherwise=100.0)
    run = record(PRO, REST, ticks=120, alone=(alone("script-7", variant=[0.0] * 120, percent=part),))
    (lost,) = series.losses(run)
    assert (lost.minutes, lost.deepest) == (1.0, "full for 45 % of the time, lite for the rest")
    assert series.rows(run)[0].shares[60].tolist() == pytest.approx([0.45, 0.55, 0.0])


def test_who_was_held_back_alone_is_the_first_row_of_the_ladder() -> None:
    first, *cells = series.rows(held_run())
    assert first.title == "image · free · script-7 alone"
    assert first.shares[59:61].tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert [row.title for row in cells] == ["image · free"]


def test_the_page_says_who_was_held_back_alone(tmp_path: Path) -> None:
    report.write(tmp_path / "held.html", [], [held_run()])
    page = (tmp_path / "held.html").read_text()
    assert "<td>image · free · script-7 alone</td><td>3.0</td><td>denied</td>" in page
    assert ">image · free · script-7 alone<" in page[page.index("<svg") : page.index("</svg>")]


def test_users_who_asked_meanwhile_are_counted_once() -> None:
    """Two of three cells' users asked so often that surely all of them asked within any minute."""
    lost = {series.title(one.cell): one for one in series.losses(shed_run())}
    assert lost["image · free"].users == pytest.approx(2.0)
    assert lost["image · free · new-accounts"].users == pytest.approx(1.0)


def test_the_ladder_begins_with_what_is_taken_first_and_leaves_out_what_never_is() -> None:
    run = record(PRO, REST, NEW, VIDEO, ticks=10)
    assert [series.title(run.cells[c]) for c in series.ladder(run)] == [
        "video · free",
        "image · free · new-accounts",
        "image · free",
    ]


def test_the_shares_of_a_split_cell_add_up_to_its_users() -> None:
    shares = series.shares(shed_run(), 2)
    assert shares[65].tolist() == [0.0, 0.5, 0.5]
    assert (shares.sum(axis=1) == 1.0).all()


def test_a_day_is_drawn_in_no_more_bins_than_an_eye_can_follow() -> None:
    day = record(PRO, ticks=17280, workloads=("image",))
    assert len(series.bins(day).first) <= series.MOST_BINS
    assert series.bins(day).seconds.sum() == 86400


def test_rare_requests_are_drawn_in_wider_bins() -> None:
    rare = record(PRO, ticks=720, asked=0.1)
    often, seldom = series.bins(rare), series.bins(rare, rare.asked[:, 0])
    assert len(seldom.first) < len(often.first)
    assert len(seldom.first) >= series.LEAST_BINS
    assert series.a_second(rare.asked[:, 0], seldom) == pytest.approx(0.1 / 5)
