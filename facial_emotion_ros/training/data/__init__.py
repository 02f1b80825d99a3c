"""Data sets of faces: FER+, AffectNet, labelled folders; augmentation."""
