"""The kinds of reasons: a closed set, so that programs compare a kind and never parse a sentence."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a reason; `modelstack.rollout.reason` has the sentence of each."""

    SAID = "said"  # only the words of the one who decided
    NOT_KEPT = "not_kept"

    # The judge, on one metric
    WORSE = "worse"
    NOT_WORSE = "not_worse"
    NOT_YET_KNOWN = "not_yet_known"
    NO_DATA = "no_data"
    OUT_OF_RANGE = "out_of_range"
    BOTH_FAIL = "both_fail"
    # The judge, on the whole
    NONE_PROVES = "none_proves"
    NONE_CAN_BE_BETTER = "none_can_be_better"
    METRICS_UNREACHABLE = "metrics_unreachable"

    # What a trial waits for
    NOT_ON_TRIAL = "not_on_trial"
    STARTING = "instances_starting"
    AWAITS_REPLAY = "awaits_replay"
    UNCONFIRMED = "weights_unconfirmed"
    BAKING = "baking"
    FEW_REQUESTS = "few_requests"
    METRICS_LACKING = "metrics_lacking"
    UNANSWERED = "requests_unanswered"
    COUNTED_LATE = "counted_late"
    REDUCED = "reduced_to_proven_share"
    AWAITS_APPROVAL = "awaits_approval"
    AWAITS_PERSON = "awaits_person"

    # Why it continues
    READY = "endpoint_ready"
    BAKED = "baked"
    STEP_APPROVED = "step_approved"
    METRICS_BACK = "metrics_back"

    # Why it goes back to a proven share
    METRICS_MISSING = "metrics_missing"

    # The time is over
    NO_VERDICT = "no_verdict_in_time"
    NO_LIVE_TRAFFIC = "no_live_traffic"
    NEVER_REPLAYED = "never_replayed"
    NEVER_READY = "never_ready"
    NEVER_CONFIRMED = "never_confirmed"

    # The replay of captured requests
    REPLAYED = "replayed"
    REPLAY_UNCHECKED = "replay_unchecked"
    REPLAY_GOES_ON = "replay_goes_on"
    REPLAY_ERRORS = "replay_errors"
    REPLAY_CHANGED = "replay_changed"
    REPLAY_LATENCY = "replay_latency"

    # The endpoint does not come up
    RELEASE_DOWN = "release_does_not_come_up"
    CHAMPION_DOWN = "champion_does_not_come_up"
    ENDPOINT_DOWN = "endpoint_does_not_come_up"
    MOVE_DOWN = "move_does_not_come_up"
    PREVIOUS_DOWN = "previous_does_not_come_up"
    STAYS_BESIDE = "champion_stays_beside"

    # The update
    FIRST = "first_release"
    MOVED = "champion_moved"
    WANTED_AGAIN = "champion_wanted_again"
    REPLACED = "another_is_wanted"
    MOVES_ALONE = "champion_moves"
    OTHER_INSTANCES = "other_instances"
    OTHER_SETTINGS = "other_settings"

    # An alarm
    ALARM = "alarm"
    SHARED_OUTAGE = "shared_outage"
    STILL_FIRING = "alarm_still_rings"
    ALARMS_UNREACHABLE = "alarms_unreachable"

    # A person
    TAKEN_BACK = "taken_back"
    APPROVED = "approved"
    TRIAL_SKIPPED = "trial_skipped"
    RESTORED = "restored"
