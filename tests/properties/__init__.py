"""What must hold for every patient, tried on the vignettes with changes that hypothesis chooses.

    python -m pytest tests/properties                             the profile `ci`: the same examples on every run
    PROPERTIES_PROFILE=long python -m pytest tests/properties     the profile `long`: many, and new ones on every run

The profiles and their numbers of examples stand in `profiles.py`.
"""
