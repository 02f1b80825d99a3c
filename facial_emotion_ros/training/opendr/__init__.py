"""OpenDR's FacialEmotionLearner and the modules that its users import."""
