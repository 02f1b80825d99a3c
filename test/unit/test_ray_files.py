"""The image of a node of Ray, and the job that KubeRay runs: they name what exists, and agree with each other."""

import shlex

import yaml
from places import read
from test_jetson_files import instructions

from facial_emotion_ros.cli.evaluate_recording import parser
from facial_emotion_ros.core.resources import find_shared


def job():
    """Read the manifest, and give it with the containers of head and workers."""
    spec = yaml.safe_load(read('docker', 'rayjob.yaml'))['spec']
    cluster = spec['rayClusterSpec']
    groups = [cluster['headGroupSpec'], *cluster['workerGroupSpecs']]
    return spec, [each['template']['spec'] for each in groups]


def test_the_job_is_a_command_with_models_that_exist():
    python, module, name, *words = shlex.split(job()[0]['entrypoint'])
    assert (python, module, name) == ('python', '-m', 'facial_emotion_ros.cli.evaluate_recording')
    given = parser().parse_args(words)
    assert given.ray == 'auto' and given.output.startswith('s3://') and given.bags[0].startswith('s3://')
    for bundle in (*given.bundles, given.detector):
        find_shared('models', bundle, 'manifest.json')


def test_recordings_are_fetched_to_a_volume_and_ray_stays_where_its_autoscaler_looks():
    environment = dict(rest.split('=', 1) for word, rest in instructions('ray.Dockerfile') if word == 'ENV')
    assert environment['RAY_TMPDIR'] == '/tmp' and environment['RAY_USAGE_STATS_ENABLED'] == '0'
    for pod in job()[1]:
        [container] = pod['containers']
        mounts = {each['mountPath']: each['name'] for each in container['volumeMounts']}
        [volume] = [each for each in pod['volumes'] if each['name'] == mounts[environment['TMPDIR']]]
        assert volume['emptyDir']['sizeLimit'] and pod['securityContext']['fsGroup'] == 1000


def test_the_cluster_grows_from_nothing_and_is_of_the_version_that_is_locked():
    spec, _ = job()
    cluster = spec['rayClusterSpec']
    assert 'ray==%s \\' % cluster['rayVersion'] in read('requirements', 'fleet.lock').splitlines()
    assert cluster['enableInTreeAutoscaling'] and cluster['headGroupSpec']['rayStartParams']['num-cpus'] == '0'
    [workers] = cluster['workerGroupSpecs']
    assert workers['replicas'] == workers['minReplicas'] == 0 < workers['maxReplicas']


def test_what_the_job_and_the_tests_run_are_the_same_versions():
    """The figures of a cluster are those of this environment."""
    names = ('numpy', 'onnxruntime', 'opencv-python-headless', 'rosbags', 'ray', 'pyarrow', 'av')
    known = read('requirements', 'run.lock') + read('requirements', 'test.lock')
    for line in read('requirements', 'fleet.lock').splitlines():
        if line.partition('==')[0] in names:
            assert line.partition(' ')[0] in known
