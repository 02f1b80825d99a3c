"""What fleet.json would hold of invented recordings: with long names, and medians at the edges of their plots."""

from bag_faces import face
from sample_timeline import sample_timeline, summary_of

from facial_emotion_ros.recordings.batch.metrics import digest, fleet_summary
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import SufficientStatistics


def sample_fleet(count=9):
    """Recordings that went well, one that failed, and one that is a copy."""
    records = []
    for place in range(count):
        name = f'warehouse_robot_number_seven_in_the_long_corridor_of_building_b_ride_{place}'
        records.append(
            {
                'place': f'/rides/{name}',
                'name': name,
                'title': name,
                'status': 'done',
                'error': '',
                'folder': f'{name}-{place}',
                'content_hash': str(place),
                'seconds': 3.0,
                'digests': [digest('summary.json', _summary(place))],
            }
        )
    name = 'x' * 120
    records += [
        dict(
            records[0],
            place=f'/rides/{name}',
            name=name,
            title=name,
            status='failed',
            folder=None,
            content_hash=None,
            error='expected a recording, got ' + 'y' * 300,
        ),
        dict(records[0], place='/rides/copy', name='copy', title='copy'),
    ]
    run = {
        'study_notes': [],
        'measures': [],
        'participants_only': False,
        'command': 'evaluate_bag ' + '/rides/' * 40,
        'made': '2026-11-26',
        'seconds': 60.0,
        'workers': 2,
        'ray': None,
        'key': 'k',
        'options': {},
        'frame_parts': count,
        'frames_lost': 0,
    }
    return fleet_summary(records, run)


def _summary(place):
    sums = SufficientStatistics()
    for name in ('frames', 'frames_with_faces'):
        sums.count(name, 100 + place)
    for emotion in ('happy', 'sad', 'fear'):
        sums.add_face(face(emotion), GroundTruth('happy'))
    summary = summary_of(sample_timeline())
    summary['truth'].update(accuracy=1.0, macro_recall=1.0)
    summary['overall'] = dict(summary['overall'], coverage=0.0)
    return dict(summary, whole=True, stretches={'/camera': {'seconds': 10, 'sums': {'0': sums.sparse()}}})
