"""Studies: participants and conditions are kept in every table and compared as the design allows."""

import csv
import math
import os
import shutil

import numpy as np
import pytest
from bag_faces import face, frame
from documented_fields import section, undocumented
from html_page import Page, loads_nothing
from in_process import in_this_process  # noqa: F401
from pyarrow import dataset
from scipy import stats
from stand_in_evaluation import evaluate as evaluate_nothing

from facial_emotion_ros.cli import evaluate_recording as command_line
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.recordings.batch import batch
from facial_emotion_ros.recordings.batch.batch import evaluate_fleet
from facial_emotion_ros.recordings.batch.result_store import open_store
from facial_emotion_ros.recordings.batch.truths import options_of_each
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.tables import FRAMES, TIMINGS, CsvTable, ParquetTable, frame_rows
from facial_emotion_ros.recordings.people import merges, people
from facial_emotion_ros.recordings.study import conditions, epochs, study_tables
from facial_emotion_ros.recordings.study.manifest import partitions_of, read_study, write_template
from facial_emotion_ros.recordings.study.results import results_of

PEOPLE = ('p00', 'p01', 'p02', 'p03')


def evaluate(path, output, options, progress=None):
    """Pretend that a recording shows one face, whose valence grows by what the file says."""
    with open(path) as file:
        valence = float(file.read().split()[1]) / 1000
    evaluate_nothing(path, output, options)
    for kind, name in ((CsvTable, 'frames.csv'), (ParquetTable, 'frames.parquet')):
        table = kind(os.path.join(output, name), FRAMES)
        for number in range(4):
            faces = [(face(valence=valence + number / 100), None)] if number else []
            time_s = (0, 0.1, 0.2, 0.4)[number]
            table.add(frame_rows(frame(number, time_s), time_s, faces))
        table.close()


@pytest.fixture
def tree(tmp_path):
    """Recordings of four participants under two conditions, of different content."""
    for place, name in enumerate(PEOPLE):
        for condition, gain in (('baseline', 100), ('task', 300 + 10 * place)):
            folder = tmp_path / 'bags' / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f'{condition}.mcap').write_text(f'good {gain + place}')
    return tmp_path


def rows_of(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures('in_this_process')
def test_a_study_keeps_its_columns_in_every_table_and_compares_within_participants(tree, capsys):
    import pandas

    manifest = tree / 'study.csv'
    assert command_line.main([str(tree / 'bags'), '--study-template', str(manifest)]) == 0
    assert command_line.main([str(tree / 'bags'), '--study-template', str(manifest)]) == 2
    assert 'new file, but' in capsys.readouterr().err
    lines = manifest.read_text().splitlines()
    assert lines[:2] == ['path,participant,condition,session', 'bags/p00/baseline.mcap,p00,baseline,']
    ages = [f'{line},{20 + number}' for number, line in enumerate(lines[1:])]
    manifest.write_text('\n'.join([lines[0] + ',age', *ages]))
    out = tree / 'out'
    found = evaluate_fleet([], str(out), Options(), evaluate=evaluate, study=read_study(str(manifest)))
    assert [bag['status'] for bag in found['bags']] == ['done'] * 8
    assert found['bags'][2]['title'] == 'bags/p01/baseline.mcap' and found['bags'][2]['study']['age'] == 22
    lacking, _ = undocumented('fleet.json', found)
    assert not lacking
    # pandas finds the same means: over the time of a face in each recording, then participants.
    frames = pandas.read_parquet(out / 'frames')
    assert {'path', 'participant', 'condition', 'session', 'age'} <= set(frames) and frames.age.dtype == float
    seen = frames[frames.face_id.notna()]
    shares = seen.frame.map({1: 0.2, 2: 0.4, 3: 0.4})  # the last image stands as long as the one before
    shown = seen[['valence', 'score_happy']].mul(shares, axis=0)
    by_person = shown.groupby([seen.condition, seen.participant]).sum()
    told = pandas.read_csv(out / 'recordings.csv')
    assert list(told.participant) == [name for name in PEOPLE for _ in range(2)]
    assert list(told.age) == list(range(20, 28))
    assert np.allclose(told.groupby(['condition', 'participant']).valence.mean(), by_person.valence, atol=1e-6)
    groups = pandas.read_csv(out / 'conditions.csv').set_index(['condition', 'measure'])
    for condition in ('baseline', 'task'):
        mean, sd = by_person.valence[condition].mean(), by_person.valence[condition].std()
        row = groups.loc[condition, 'valence']
        assert row['mean'] == pytest.approx(mean, abs=1e-6) and row.sd == pytest.approx(sd, abs=1e-6)
        assert row.low <= mean <= row.high and row.participants == 4
        assert groups.loc[condition, 'share_happy']['mean'] == 1
    looks = pandas.read_parquet(out / 'comparisons.parquet').set_index('measure')
    gaps = by_person.valence['baseline'] - by_person.valence['task']
    row = looks.loc['valence']
    assert (row.design, row.participants, row.left_out) == ('within', 4, 0)
    assert row.difference == pytest.approx(gaps.mean(), abs=1e-6)
    assert row.effect_size == pytest.approx(gaps.mean() / gaps.std(), abs=1e-5)
    assert row.p == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, abs=1e-4) and len(looks) == 10
    study = read_study(str(manifest))
    told = evaluate_fleet([], str(out), Options(), evaluate=evaluate, study=study, measures=['valence'])
    assert told['run']['measures'] == ['valence'] and 'the measures of --measure' in (out / 'index.html').read_text()
    (only,) = rows_of(out / 'comparisons.csv')
    assert only['p'] == only['p_holm'] and float(only['p']) == pytest.approx(row.p)
    assert command_line.main([str(tree / 'bags'), '--output', str(out), '--measure', 'valence']) == 2
    assert '--measure needs --study' in capsys.readouterr().err
    dictionary = (out / 'columns.md').read_text()
    assert '`left_out`' in dictionary and '| `age` | double |' in dictionary and '](' not in dictionary
    page = (out / 'index.html').read_text()
    assert loads_nothing(page, 'plotly.min.js') and 'within participants (4)' in Page(page).text
    charts = Page(page).figures('condition')
    assert len(charts) == 2 and all('yaxis' in each['layout'] for each in charts), 'charts.js looks at the axes'
    # Another manifest changes the tables, and evaluates nothing again.
    manifest.write_text(manifest.read_text().replace(',task,', ',game,'))
    again = evaluate_fleet([], str(out), Options(), evaluate=evaluate, study=read_study(str(manifest)))
    assert again['counts']['skipped'] == 8
    assert set(pandas.read_parquet(out / 'frames').condition) == {'baseline', 'game'}


def test_conditions_are_compared_between_participants_when_nobody_has_both():
    averages = [
        # Two recordings of each, of which the mean counts.
        (condition, f'{condition}{place}', np.full(19, shift + place / 10 + gap))
        for condition, shift, gaps in (('one', 0.0, (-0.02, 0.02)), ('two', 0.5, (0.05, -0.05)))
        for place in range(5)
        for gap in gaps
    ]
    averages += [('two', 'one0', np.full(19, 0.9)), ('two', 'two1', np.full(19, np.nan))]
    rows = conditions.comparison_rows(conditions.cells_of(averages))
    assert {(row.design, row.participants, row.other_participants, row.left_out) for row in rows} == {
        ('between', 4, 5, 1)
    }
    one, two = np.arange(1, 5) / 10, 0.5 + np.arange(5) / 10
    assert rows[0].difference == pytest.approx(one.mean() - two.mean())
    pooled = np.sqrt((3 * one.var(ddof=1) + 4 * two.var(ddof=1)) / 7)
    assert rows[0].effect_size == pytest.approx((one.mean() - two.mean()) / pooled, abs=1e-6)
    assert rows[0].low < rows[0].difference < rows[0].high < 0 and rows[0].p < 0.05
    assert rows[0].p_holm == pytest.approx(10 * rows[0].p)
    (row,) = conditions.comparison_rows(conditions.cells_of(averages), ['share_unknown'])
    assert row == rows[0]._replace(measure='share_unknown', p_holm=rows[0].p)


@pytest.mark.parametrize('count', [2, 3, 8, 30])
def test_intervals_are_those_of_scipy_when_participants_are_few_or_many(count):
    one, two = np.random.default_rng(count).normal(size=(2, count + 1, 19)) * [[[1.0]], [[3.0]]]
    one = one[:count]
    one[0, :3] = np.nan
    low, high = conditions.interval_of_means(one)
    if count == 2:
        assert np.isnan([low[:3], high[:3]]).all()
    else:
        told = stats.ttest_1samp(one[1:, :3], 0).confidence_interval()
        assert np.allclose([low[:3], high[:3]], told)
    assert np.allclose([low[3:], high[3:]], stats.ttest_1samp(one[:, 3:], 0).confidence_interval())
    one[0, :3] = 0.5
    cells = {name: {f'{name}{place}': row for place, row in enumerate(of)} for name, of in (('a', one), ('b', two))}
    rows, told = conditions.comparison_rows(cells), stats.ttest_ind(one, two, equal_var=False)
    assert np.allclose([(row.low, row.high) for row in rows], np.transpose(told.confidence_interval())[-10:], atol=1e-6)
    assert np.allclose([row.p for row in rows], told.pvalue[-10:])
    cells = {name: {place: row for place, row in enumerate(of[:count])} for name, of in (('a', one), ('b', two))}
    rows, told = conditions.comparison_rows(cells), stats.ttest_rel(one, two[:count])
    assert {row.design for row in rows} == {'within'}
    assert np.allclose([(row.low, row.high) for row in rows], np.transpose(told.confidence_interval())[-10:], atol=1e-6)
    assert np.allclose([row.p for row in rows], told.pvalue[-10:])
    assert [(row.p < 0.05) == (row.low > 0 or row.high < 0) for row in rows] == [True] * 10
    same = conditions.condition_rows({'a': {1: np.full(19, 0.5), 2: np.full(19, 0.5)}, 'b': {1: np.ones(19)}})
    assert {row[3:] for row in same} == {(0.5, None, None, 0.0), (1.0, None, None, None)}


def test_p_is_that_of_the_permutation_test_when_participants_vary_by_rounding_alone():
    def compared(one, two, are_the_same):
        names = range(len(two)) if are_the_same else range(100, 100 + len(two))
        cells = {
            name: {who: np.full(19, value) for who, value in zip(whose, values)}
            for name, whose, values in (('one', range(len(one)), one), ('two', names, two))
        }
        return conditions.comparison_rows(cells, ['valence'])[0]

    one = np.array([0.3, 0.2, 0.7])
    for gap, p in ((0.1, 0.25), (0.0, 1.0)):
        row = compared(one, one - gap, True)
        assert row.difference == pytest.approx(gap) and (row.low, row.effect_size, row.p) == (None, None, p)
    for count, other in ((3, 3), (7, 31)):
        row = compared([0.1] * count, [0.7] * other, False)
        assert (row.low, row.high, row.p) == (None, None, pytest.approx(2 / math.comb(count + other, count)))
    row = compared(one, one - [0.1, 0.1, 0.10001], True)
    assert row.low is not None and row.p < 1e-6, 'a little variance is some'


@pytest.mark.parametrize(
    'both, only_one, only_two, expected',
    [
        (2, 40, 40, ('between', 40, 40, 2)),
        (4, 2, 2, ('within', 4, 4, 4)),
        (3, 2, 2, ('between', 2, 2, 3)),
        (2, 40, 1, ('within', 2, 2, 41)),  # there is no other way
        (1, 40, 1, None),
    ],
)
def test_few_pairs_do_not_discard_the_others_when_most_participants_have_one_condition(
    both, only_one, only_two, expected
):
    values = np.random.default_rng(0).normal(size=(100, 19))
    names = [f'p{place}' for place in range(both + only_one + only_two)]
    cells = {
        'one': dict(zip(names[: both + only_one], values)),
        'two': dict(zip(names[:both] + names[both + only_one :], values[::-1])),
    }
    rows = conditions.comparison_rows(cells)
    found = {(row.design, row.participants, row.other_participants, row.left_out) for row in rows}
    assert found == ({expected} if expected else set())


def test_columns_of_a_manifest_are_kept_as_they_are_written(tmp_path):
    for place in range(2):
        (tmp_path / f'{place}.mcap').write_text('')
    rows = [
        'Path,PARTICIPANT,Größe,code,long,share,STUDY',
        '0.mcap,p1,180,007,12345678901234567890,0.5,0',
        '1.mcap,p2,,12,1,-1e2,',
    ]
    (tmp_path / 'study.csv').write_text('\n'.join(rows), encoding='utf-8')
    study = read_study(str(tmp_path / 'study.csv'))
    assert dict(list(study.rows[0].items())[1:]) == {
        'participant': 'p1',
        'Größe': 180.0,
        'code': '007',
        'long': '12345678901234567890',
        'share': 0.5,
        'study': '0',
    }
    folders = [partitions_of(study.path, row)['study'] for row in study.rows]
    assert folders == ['study=0', 'study=__HIVE_DEFAULT_PARTITION__']
    assert study.rows[1]['code'] == '12' and study.rows[1]['share'] == -100.0
    (tmp_path / 'study.csv').write_text('\n'.join([rows[0].replace('share', 'Code'), *rows[1:]]), encoding='utf-8')
    with pytest.raises(BadDataset, match="unique, and different.*'code'"):
        read_study(str(tmp_path / 'study.csv'))


@pytest.mark.usefixtures('in_this_process')
def test_tables_that_no_run_wrote_and_what_it_reads_stay_when_they_lie_in_the_output(tree, monkeypatch):
    out, force, lines = tree / 'out', {'force': True}, 'path,participant\n../bags/p00/task.mcap,p00\n'

    def run(manifest=None, events='', **more):
        places = [] if manifest else [str(tree / 'bags' / 'p00' / 'task.mcap')]
        study = read_study(str(manifest)) if manifest else None
        return evaluate_fleet(places, str(out), Options(events=events), evaluate=evaluate, study=study, **more)

    out.mkdir()
    for name in ('study.csv', 'columns.md', 'recordings.csv', 'people.csv'):
        (out / name).write_text(lines)
    with pytest.raises(BadParameter, match='got columns.md, recordings.csv, which would be lost.*--force'):
        run(out / 'study.csv')
    with pytest.raises(BadParameter, match='out/recordings.csv, which would be replaced or deleted'):
        run(out / 'recordings.csv', **force)
    assert (out / 'columns.md').read_text() == (out / 'recordings.csv').read_text() == lines
    assert not (out / 'bags').exists()
    with monkeypatch.context() as later:
        later.setattr(batch, 'fleet_html', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(out / 'study.csv', **force)
    run(out / 'study.csv')  # an interrupted run goes on
    (out / 'recordings.csv').write_text('time,name\n0.2,smile\n')
    with pytest.raises(BadParameter, match='replaced or deleted'):
        run(events=str(out / 'recordings.csv'))
    assert (out / 'recordings.csv').exists()
    run()
    assert {'study.csv', 'people.csv'} == {each.name for each in out.iterdir()} & {
        *('study.csv', 'people.csv', 'columns.md', 'recordings.csv', '.begun.json')
    }


@pytest.mark.usefixtures('in_this_process')
def test_no_rows_are_left_out_in_silence_when_tables_of_frames_are_missing_or_damaged(tree):
    def run():
        found = evaluate_fleet([str(tree / 'bags')], str(tree / 'out'), Options(), evaluate=evaluate)
        return dataset.dataset(str(tree / 'out' / 'frames')).to_table(), found

    whole, _ = run()
    first, *others = sorted((tree / 'out' / 'bags').glob('*/frames.parquet'))
    first.write_bytes(first.read_bytes()[:-9])
    for each in others:  # as if pyarrow had not been installed
        each.unlink()
    shutil.rmtree(tree / 'out' / 'frames')
    found = run()[0]
    assert found.cast(whole.schema).equals(whole)
    table, kept = first.with_name('frames.csv'), first.with_name('kept')
    table.rename(kept)
    shutil.rmtree(tree / 'out' / 'frames')
    for _ in range(2):
        found, fleet = run()
        assert (len(found), fleet['run']['frames_lost']) == (len(whole) - 4, 1)
        assert 'frames/ lacks 1 table of frames' in batch.fleet_text(fleet)
    (bag,) = (each for each in fleet['bags'] if each['folder'] == first.parent.name)
    for damaged in (b'', kept.read_bytes()[:-30]):
        table.write_bytes(damaged)
        assert run()[1]['run']['frames_lost'] == 1
        with pytest.raises(BadDataset, match='frames.csv: expected a table of frames.*delete its results folder'):
            results_of(open_store(str(tree / 'out')), [bag])[0].faces()
    kept.rename(table)
    found, fleet = run()
    assert len(found) == len(whole) and not fleet['run']['frames_lost'] and len(fleet['bags']) == 8


@pytest.mark.usefixtures('in_this_process')
def test_an_empty_condition_and_alike_spellings_are_named_when_a_study_has_them(tree, capsys, monkeypatch):
    from facial_emotion_ros.recordings.batch import batch

    lines = [
        f'bags/{name}/{each}.mcap,{name},{"" if each == "task" else "Base"}'
        for name in PEOPLE
        for each in ('baseline', 'task')
    ]
    lines[0] = lines[0].replace('Base', 'base ')
    lines[2] = lines[2].replace(',p01,', ',P01,')
    (tree / 'study.csv').write_text('\n'.join(['path,participant,condition', *lines]))
    run = batch.evaluate_fleet
    monkeypatch.setattr(batch, 'evaluate_fleet', lambda *given, **named: run(*given, evaluate=evaluate, **named))
    assert command_line.main(['--study', str(tree / 'study.csv'), '--output', str(tree / 'out')]) == 0
    told, page = capsys.readouterr().err, Page((tree / 'out' / 'index.html').read_text()).text
    for text in (told, page):
        assert "participants that differ only in spelling are treated as different: 'P01', 'p01'" in text.replace(
            '’', "'"
        )
        assert "'base', 'Base'" in text and "'p00'" not in text
    assert 'no condition − Base' in page and 'no condition: 4 participants' in page


def test_a_manifest_may_have_semicolons_and_decimal_commas(tmp_path):
    (tmp_path / 'a.mcap').touch()
    (tmp_path / 'study.csv').write_text('"sep=;"\npath;participant;condition;dose;\na.mcap;p;1,5;1,5;;\n', 'utf-8-sig')
    (row,) = read_study(str(tmp_path / 'study.csv')).rows
    assert row['dose'] == 1.5 and row['condition'] == '1,5'


@pytest.mark.parametrize(
    'text, said',
    [
        ('path,condition\na.mcap,x\n', 'header line with the columns path, participant'),
        ('path;participant\na.mcap;p;q\n', 'line 2: expected 2 cells'),
        ('path,participant\na.mcap,\n', 'line 2: expected a participant'),
        ('path,participant\na.mcap,p\nbags/../a.mcap,q\n', 'line 3: expected each recording once'),
        ('path,participant,emotion\na.mcap,p,x\n', "got 'emotion'"),
        ('path,participant\nnone.mcap,p\n', 'line 2: .*does not exist'),
        ('sep=,\npath,participant\nnone.mcap,p\n', 'line 3: .*does not exist'),
        ('path,participant,note\na.mcap,p,"two\nlines"\nnone.mcap,q,\n', 'line 4: .*does not exist'),
        ('path,participant\n.,p\n', 'expected one recording'),
        ('path,participant\na.mcap\n', 'line 2: expected 2 cells'),
        ('path,participant\n', 'a row for each recording'),
        (
            'path,participant,condition\na.mcap,p,' + 28 * '基' + '\n',
            'line 2: expected a condition cell .* 255 letters, got 262',
        ),
    ],
)
def test_the_line_is_named_when_a_manifest_cannot_be_read(tmp_path, text, said):
    for name in ('a.mcap', 'b.mcap'):
        (tmp_path / name).write_text('')
    (tmp_path / 'study.csv').write_text(text, encoding='utf-8')
    with pytest.raises(Exception, match=said):
        read_study(str(tmp_path / 'study.csv'))


def test_a_recording_without_a_line_is_named_when_bags_are_given(tree):
    (tree / 'study.csv').write_text('path,participant\nbags/p00/task.mcap,p00\n')
    with pytest.raises(BadDataset, match='baseline.mcap and 6 more'):
        evaluate_fleet([str(tree / 'bags')], str(tree / 'out'), Options(), study=read_study(str(tree / 'study.csv')))


def test_truths_are_found_by_their_folders_when_recordings_have_the_same_name(tree, monkeypatch):
    (tree / 'truths' / 'p00').mkdir(parents=True)
    for name in ('p00/task', 'baseline'):
        (tree / 'truths' / f'{name}.csv').write_text('start,end,emotion\n0,1,happy\n')
    places = [str(tree / 'bags' / name) for name in ('p00/task.mcap', 'p01/task.mcap', 'p01/baseline.mcap')]
    found = options_of_each(Options(truth=str(tree / 'truths')), places)
    assert [os.path.relpath(each.truth, tree / 'truths') if each.truth else '' for each in found] == [
        'p00/task.csv',
        '',
        'baseline.csv',
    ]
    nested = tree / 'truths' / 'second'
    nested.mkdir()
    for name in ('task', 'baseline'):
        (nested / f'{name}.csv').write_text('start,end,emotion\n1700000000,1700000001,happy\n')
    named = Options(truth=str(tree / 'truths'), more_truths=(str(nested),))
    assert [each.raters for each in options_of_each(named, places)] == [
        ('truths', 'truths/second'),
        ('truths/second',),
        ('truths', 'truths/second'),
    ], 'the same rater has the same name, whatever his files are called'
    (tree / 'truths' / 'task.csv').write_text('start,end,emotion\n0,1,sad\n')
    monkeypatch.chdir(tree / 'bags' / 'p00')
    for place in ('task.mcap', './task.mcap', '../p00/task.mcap', f'file://{tree}/bags/p00/task.mcap'):
        (found,) = options_of_each(Options(truth='../../truths'), [place])
        assert found.truth == '../../truths/p00/task.csv', 'wherever the command is started'
    with pytest.raises(BadParameter, match='share this file'):
        options_of_each(Options(truth=str(tree / 'truths')), [*places, str(tree / 'bags' / 'p02' / 'baseline.mcap')])


@pytest.mark.parametrize(
    'name, columns',
    [
        ('frames.csv', FRAMES),
        ('timings.csv', TIMINGS),
        ('recordings.csv', study_tables.recordings_columns({})),
        ('conditions.csv', study_tables.CONDITIONS),
        ('comparisons.csv', study_tables.COMPARISONS),
        ('events.csv', epochs.EPOCHS),
        ('event_averages.csv', epochs.AVERAGES),
        ('people.csv', people.PEOPLE),
        ('merges.csv', merges.MERGE_COLUMNS),
    ],
)
def test_every_table_is_documented_in_the_order_of_its_columns(name, columns):
    documented = [line.split('|')[1:3] for line in section(name).splitlines() if line.startswith('| `')]
    assert [[cell.strip(' `') for cell in row] for row in documented] == [[each.name, each.type] for each in columns]


@pytest.mark.parametrize(
    'named', [['.'], ['p00', 'p01'], ['p00/task.mcap', 'p01/base.mcap', 'p01/day2/base.mcap'], ['p00', './p01']]
)
def test_participants_are_the_folders_whatever_was_named_for_a_template(tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    for name in ('p00/task.mcap', 'p01/base.mcap', 'p01/day2/base.mcap'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if named[-1] == './p01':
        (tmp_path / 'p01/day2/base.mcap').unlink()
    write_template(named, 'study.csv')
    lines = (tmp_path / 'study.csv').read_text().splitlines()[1:]
    assert {line.partition(',')[2] for line in lines} >= {'p00,task,', 'p01,base,'}


def test_a_study_is_read_as_its_template_was_written_when_names_are_formulas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('=p0, "a"\nb/-task.mcap', '@p1/base.mcap'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    write_template(['.'], 'study.csv')
    cells = [cell for row in csv.reader(open('study.csv', newline='')) for cell in row]
    assert not any(cell.startswith(('=', '-', '@')) for cell in cells)
    study = read_study('study.csv')
    assert sorted(row['participant'] for row in study.rows) == ['=p0, "a"\nb', '@p1']
    assert sorted(study.places) == [str(tmp_path / '=p0, "a"\nb/-task.mcap'), str(tmp_path / '@p1/base.mcap')]


@pytest.mark.parametrize(
    'names, roots, rows',
    [
        (['p0/day1/a', 'p0/day2/a', 'p1/day1/a'], ['p0', 'p1'], ['p0,a,day1', 'p0,a,day2', 'p1,a,day1']),
        (['p0/day1/a', 'p1/a'], ['p0', 'p1'], ['p0,a,day1', 'p1,a,']),
        (['site1/p0/a', 'site2/p1/a'], ['site1', 'site2'], ['p0,a,', 'p1,a,']),
        (
            ['disk1/rides/p0/day1/a', 'disk2/rides/p0/day2/a'],
            ['disk1/rides', 'disk2/rides'],
            ['p0,a,day1', 'p0,a,day2'],
        ),
    ],
)
def test_sessions_are_no_participants_when_several_folders_are_named_for_a_template(tmp_path, names, roots, rows):
    for name in names:
        (tmp_path / f'{name}.mcap').parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f'{name}.mcap').touch()
    write_template([str(tmp_path / root) for root in roots], str(tmp_path / 'study.csv'))
    assert [line.partition(',')[2] for line in (tmp_path / 'study.csv').read_text().splitlines()[1:]] == rows
