"""Hands the live parameters of tracker, smoothing, doubts and detection over to a pipeline, between two images."""

from facial_emotion_ros.doubts import DoubtRules

#: What a pipeline is given, in this order.
NAMES = ('tracker.max_age_s', 'tracker.min_iou', 'tracker.continue_score', 'detector.every_n', 'smoothing.enabled',
         'smoothing.scores_s', 'smoothing.affect_s', 'smoothing.margin', 'unknown.enabled', 'unknown.min_face_px',
         'unknown.min_sharpness', 'unknown.max_cut', 'unknown.min_confidence', 'unknown.min_agreement',
         'unknown.min_contrast', 'unknown.max_clipped', 'unknown.max_occlusion', 'inference.reuse_below')


class FaceRules:
    """Follows the parameters; to be asked before every image, in the thread that works on it."""

    def __init__(self, value):
        """Follow nothing yet.

        :param value: function that gives the value of a parameter by its name.
        """
        self._value = value
        self._given = None

    def hand_over(self, pipeline):
        """Adjust a pipeline, if a parameter has changed since the last time.

        :param pipeline: EmotionPipeline, always the same one.
        """
        given = tuple(self._value(name) for name in NAMES)
        if given == self._given:
            return
        pipeline.tracker.adjust(*given[:2])
        pipeline.finder.adjust(every_n=given[3], continue_score=given[2])
        pipeline.smoothing.adjust(*given[4:8])
        pipeline.doubts = DoubtRules(*given[8:17])
        pipeline.reuse_below = given[17]
        self._given = given
