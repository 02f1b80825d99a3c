"""What fleet.json would hold of invented recordings: with long names, and medians at the edges of their plots."""

from invented_story import summary_of, told, usual_story

from facial_emotion_ros.bag_evaluation.fleet_figures import fleet_summary
from facial_emotion_ros.bag_evaluation.totals import Totals
from facial_emotion_ros.bag_evaluation.truth import Truth


def invented_fleet(count=9):
    """Tell of recordings that went well, one that failed, and one that is a copy."""
    records, summaries = [], {}
    for place in range(count):
        name = f'warehouse_robot_number_seven_in_the_long_corridor_of_building_b_ride_{place}'
        records.append({'place': f'/rides/{name}', 'name': name, 'title': name, 'status': 'done', 'error': '',
                        'folder': f'{name}-{place}', 'content_hash': str(place), 'seconds': 3.0})
        summaries[records[-1]['folder']] = [('summary.json', _summary(place))]
    name = 'x' * 120
    records += [dict(records[0], place=f'/rides/{name}', name=name, title=name, status='failed', folder=None,
                     content_hash=None, error='expected a recording, got ' + 'y' * 300),
                dict(records[0], place='/rides/copy', name='copy', title='copy')]
    run = {'command': 'evaluate_bag ' + '/rides/' * 40, 'made': '2026-11-26', 'seconds': 60.0, 'workers': 2,
           'ray': None, 'key': 'k', 'options': {}, 'frame_parts': count}
    return fleet_summary(records, summaries, run)


def _summary(place):
    sums = Totals()
    for name in ('frames', 'frames_with_faces'):
        sums.count(name, 100 + place)
    for emotion in ('happy', 'sad', 'fear'):
        sums.tell(told('aaaaa', emotion), Truth('happy'))
    summary = summary_of(usual_story())
    summary['truth'].update(accuracy=1.0, macro_recall=1.0)
    summary['overall'] = dict(summary['overall'], coverage=0.0)
    return dict(summary, whole=True, stretches={'/camera': {'seconds': 10, 'sums': {'0': sums.sparse()}}})
