"""Every complaint of users of the earlier plugin that can happen on Twilio, with the tests that prove that it does
not happen here: A audio, B latency, C turn-taking, D exposure, E signatures, F lost and stuck calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.carriers.twilio_traps import Proofs

PAINS: Final[Mapping[str, tuple[str, Proofs]]] = {
    "A1": (
        "connected, and silence",
        (
            "engine/test_twilio_troubles::test_a_stream_that_does_not_come_about_is_told_and_twilios_own_voice_goes_on",
            "calls/test_ladder::test_a_rung_past_its_deadline_is_missing_and_says_why",
            "live/test_mouth::test_a_fault_of_the_voice_while_it_rings_fails_the_line_and_not_the_call",
        ),
    ),
    "A2": (
        "an empty reply or a document in the way ends the call",
        (
            "carriers/test_twiml::TestAReply::test_a2_is_never_empty_11770",
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_a2_no_request_for_instructions_is_answered_with_nothing",
            "engine/test_inbound_flows::test_each_situation_has_its_document",
            "engine/test_twilio_troubles::test_a_stream_that_does_not_come_about_is_told_and_twilios_own_voice_goes_on",
        ),
    ),
    "A3": (
        "a caller is not answered or not greeted",
        (
            "engine/test_twilio_inbound::test_a_caller_who_may_call_is_greeted_heard_and_said_goodbye_to",
            "engine/test_twilio_troubles::test_a_caller_whose_webhooks_all_come_twice_is_answered_and_greeted_once",
        ),
    ),
    "A4": (
        "two greetings",
        (
            "engine/test_twilio_troubles::test_webhooks_that_come_in_any_order_and_twice_make_one_call",
            "engine/test_twilio_troubles::test_a_caller_whose_webhooks_all_come_twice_is_answered_and_greeted_once",
            "live/test_native::test_the_greeting_is_said_once_although_the_answer_is_told_several_times",
        ),
    ),
    "A5": (
        "voices of ours over each other",
        (
            "live/test_mouth::test_lines_are_spoken_one_after_the_other",
            "live/test_native_mouth::test_lines_are_said_strictly_one_after_the_other",
        ),
    ),
    "A6": (
        "choppy audio",
        (
            "media/test_playout::test_ten_minutes_do_not_drift",
            "media/test_playout::test_a_late_tick_sends_what_it_missed_and_nothing_is_heard_of_it",
            "media/test_convert::test_pieces_of_any_size_give_the_same_audio_as_the_whole",
            "media/test_playout::test_a_voice_that_falls_behind_is_an_under_run_and_goes_on",
        ),
    ),
    "A7": (
        "noise instead of speech",
        (
            "media/test_convert::test_unknown_formats_are_refused",
            "web/test_media_door::test_audio_that_is_no_telephone_audio_is_refused",
        ),
    ),
    "A8": (
        "long answers never play",
        (
            "live/test_mouth::test_a_line_longer_than_what_may_wait_is_heard_to_its_end",
            "live/test_mouth::test_a_voice_no_quicker_than_speech_may_take_as_long_as_its_line",
        ),
    ),
    "A9": ("the call goes deaf", ("engine/test_calls::test_a_lost_recogniser_is_visible_and_comes_back",)),
    "A13": (
        "the greeting is late or clipped",
        (
            "engine/test_twilio_troubles::test_first_words_and_recognition_are_ready_before_anybody_answers",
            "live/test_mouth::test_a_line_that_could_not_be_prepared_is_made_when_it_is_its_turn",
        ),
    ),
    "B1": (
        "seconds per turn, and nobody knows where",
        (
            "live/test_turn_clock::test_the_stages_add_up_to_the_whole_turn",
            "speech/test_sentences::test_the_first_sentence_comes_before_the_second_is_complete",
        ),
    ),
    "B2": (
        "the first turn is slower",
        ("engine/test_twilio_troubles::test_first_words_and_recognition_are_ready_before_anybody_answers",),
    ),
    "B8": (
        "latency figures with people's own time in them",
        ("live/test_turn_clock::test_the_stages_add_up_to_the_whole_turn",),
    ),
    "C1": (
        "echo and noise stop our voice",
        (
            "media/test_turns::test_our_own_words_coming_back_do_not_interrupt_us",
            "media/test_turns::test_a_cough_over_our_voice_is_not_a_barge_in",
            "media/test_turns::test_a_loud_noise_that_is_denied_never_interrupts",
        ),
    ),
    "C2": (
        "room tone is taken for speech",
        (
            "media/test_vad::test_room_tone_does_not_hold_the_gate_open_at_any_level",
            "media/test_turns::test_room_tone_never_stops_our_voice_even_when_it_sets_in_with_the_first_frame",
        ),
    ),
    "C3": (
        "interrupted, and the old audio plays on",
        (
            "engine/test_twilio_troubles::test_a_caller_who_interrupts_is_let_speak_and_our_line_keeps_what_was_heard",
            "media/test_playout::test_clear_empties_everything_and_tells_what_was_heard",
        ),
    ),
    "C4": (
        "we believe that we said what nobody heard",
        (
            "engine/test_twilio_troubles::test_a_caller_who_interrupts_is_let_speak_and_our_line_keeps_what_was_heard",
            "live/test_mouth::test_a_cut_keeps_what_was_heard_and_skips_what_waits",
            "engine/test_twilio_streams::test_a_line_that_plays_when_the_stream_breaks_keeps_what_was_heard",
        ),
    ),
    "C5": (
        "the hang-up cuts the farewell",
        ("engine/test_twilio_troubles::test_a_farewell_is_heard_before_twilio_is_told_to_hang_up",),
    ),
    "C6": (
        "an agent can not hang up",
        (
            "engine/test_twilio_troubles::test_a_farewell_is_heard_before_twilio_is_told_to_hang_up",
            "live/test_native::test_the_agent_ends_the_call_when_its_farewell_was_heard",
        ),
    ),
    "C7": (
        "who waits for a line that was dropped waits for ever",
        (
            "live/test_native_mouth::test_whatever_happens_each_line_ends_once_and_the_mouth_goes_on",
            "live/test_mouth::test_a_cut_keeps_what_was_heard_and_skips_what_waits",
        ),
    ),
    "C8": (
        "an old answer to a new topic",
        (
            "live/test_mouth::test_replies_that_wait_are_skipped_and_other_lines_are_not",
            "live/test_native::test_newer_words_of_the_caller_revoke_an_older_reply",
        ),
    ),
    "C9": (
        "two turns at once",
        (
            "live/test_native::test_words_that_crossed_the_answer_to_earlier_ones_silence_it_and_are_answered",
            "live/test_questions::test_one_question_at_a_time",
        ),
    ),
    "C10": (
        "a question cuts its own stream",
        (
            "engine/test_twilio_troubles::test_a_question_on_a_stream_is_answered_and_leaves_the_stream_alone",
            "live/test_native::test_a_call_over_a_stream_is_never_instructed",
        ),
    ),
    "D1": (
        "the webhook is exposed and the socket is not",
        ("engine/test_twilio_trust::test_every_address_that_twilio_is_given_lies_under_the_public_one",),
    ),
    "D2": (
        "the stream's token is lost on the way",
        (
            "carriers/test_twiml::TestConnect::test_d2_the_token_is_a_parameter_because_queries_are_dropped",
            "carriers/test_twilio_far::test_a_stream_is_opened_signed_without_its_query_and_with_its_parameters",
        ),
    ),
    "D9": (
        "documents with addresses that lead nowhere",
        ("engine/test_twilio_trust::test_every_address_that_twilio_is_given_lies_under_the_public_one",),
    ),
    "E1": (
        "refused for a port",
        (
            "web/test_webhooks::TestTwilioBehindProxies::test_e1_the_port_that_was_signed_is_told",
            "carriers/test_twilio_signature::TestAddresses::test_e1_a_port_that_was_added_is_said",
        ),
    ),
    "E2": (
        "refused for a path that a proxy rewrote",
        (
            "web/test_webhooks::TestTwilioBehindProxies::test_e2_a_proxy_may_change_host_port_and_path_of_a_public_address",
            "engine/test_twilio_trust::test_every_address_that_twilio_is_given_lies_under_the_public_one",
        ),
    ),
    "E3": (
        "refused without a reason, so people switch verification off",
        (
            "web/test_webhooks::TestTwilioBehindProxies::test_e3_a_refusal_says_which_public_url_would_be_right_and_what_was_tried",
            "config/test_refusals::test_unsigned_webhooks_need_loopback_and_nothing_public",
            "web/test_unsigned::test_e3_the_same_bytes_again_are_no_replay",
            "web/test_unsigned::test_e3_what_a_tunnel_or_a_browser_brings_needs_its_signature",
            "web/test_media_door::test_e3_without_signatures_a_socket_still_needs_its_token",
            "engine/test_twilio_trust::test_a_token_of_another_account_is_refused_and_the_call_is_not_told_by_it",
        ),
    ),
    "E4": (
        "replays that are told by what nobody signed",
        (
            "carriers/test_twilio_signature::TestReplayKeys::test_e4_are_the_same_in_every_spelling_of_the_signature",
            "carriers/test_twilio_signature::TestReplayKeys::test_are_the_same_when_a_letter_moves_from_a_name_to_its_value",
        ),
    ),
    "E5": (
        "a replay, although the first try failed",
        (
            "web/test_webhooks::TestReplay::test_may_be_repeated_after_a_failure",
            "web/test_webhooks::TestReplay::test_that_comes_while_the_first_is_under_way_waits_for_its_answer",
        ),
    ),
    "E6": (
        "a replay mints a token",
        (
            "web/test_webhooks::TestReplay::test_gives_the_first_answer_without_its_token_and_does_nothing",
            "web/test_media_door::test_a_token_is_good_once_and_for_its_own_call_alone",
        ),
    ),
    "E7": (
        "secrets in logs",
        (
            "engine/test_twilio_trust::test_no_secret_gets_into_a_log_or_into_the_record",
            "carriers/test_twilio_signature::TestRefusals::test_tell_no_secret",
        ),
    ),
    "E8": (
        "a retry gets an empty document",
        (
            "engine/test_twilio_retry::test_e8_a_repeated_request_for_instructions_costs_no_call",
            "web/test_webhooks::TestReplay::test_e8_of_a_document_with_a_token_has_the_carrier_ask_for_a_fresh_one",
        ),
    ),
    "F1": (
        "no slot, and no call in sight",
        (
            "engine/test_twilio_troubles::test_a_call_whose_end_is_never_told_does_not_keep_its_slot",
            "engine/test_restart::test_what_a_crash_left_open_is_settled_with_the_carrier",
        ),
    ),
    "F2": (
        "one failed write blocks dialling",
        (
            "engine/test_restart::test_nothing_is_dialled_that_can_not_be_recorded",
            "engine/test_dialling::test_a_dial_that_fails_in_our_own_code_is_uncertain_and_keeps_no_slot",
        ),
    ),
    "F3": (
        "calls that nobody asked for, after a restart",
        (
            "engine/test_twilio_troubles::test_a_dial_whose_answer_was_lost_is_found_and_never_sent_again",
            "engine/test_twilio_restart::test_a_call_is_controllable_again_after_the_engine_was_killed",
            "carriers/test_twilio_dial::test_a_dial_is_sent_once_whatever_becomes_of_it",
        ),
    ),
    "F4": (
        "a call goes on after its end",
        (
            "engine/test_twilio_troubles::test_webhooks_that_come_in_any_order_and_twice_make_one_call",
            "engine/test_inbound_flows::test_what_comes_after_the_end_is_harmless",
        ),
    ),
    "F5": (
        "a second caller waits for ever",
        (
            "engine/test_twilio_inbound::test_f5_a_second_caller_is_served_while_one_is_live",
            "live/test_native::test_a_second_caller_is_served_while_one_is_live",
        ),
    ),
    "F6": (
        "a live conversation is reaped",
        ("engine/test_twilio_troubles::test_a_caller_of_whose_answer_no_webhook_tells_is_not_reaped",),
    ),
    "F7": (
        "hang-ups again and again, or never",
        (
            "engine/test_twilio_troubles::test_a_hang_up_that_twilio_does_not_take_is_tried_until_it_does",
            "engine/test_twilio_inbound::test_i1_who_may_not_call_is_rejected_before_any_stream_exists",
        ),
    ),
    "F8": (
        "21220 ends the process",
        (
            "engine/test_twilio_troubles::test_a_hang_up_that_twilio_does_not_take_is_tried_until_it_does",
            "carriers/test_twilio_errors::test_any_answer_at_all_becomes_an_error",
        ),
    ),
    "F9": (
        "the stream is gone and the call costs money",
        (
            "engine/test_twilio_troubles::test_a_call_whose_end_is_never_told_does_not_keep_its_slot",
            "carriers/test_twiml::TestConnect::test_f9_a_lost_socket_does_not_end_the_call",
            "engine/test_twilio_streams::test_a_stream_that_breaks_is_opened_again_and_the_call_goes_on",
            "engine/test_twilio_streams::test_a_line_that_plays_when_the_stream_breaks_keeps_what_was_heard",
        ),
    ),
    "F10": (
        "requests without a limit",
        (
            "carriers/test_twilio_dial::test_a_dial_is_sent_once_whatever_becomes_of_it",
            "live/test_native_mouth::test_a_carrier_that_does_not_answer_fails_the_line_after_a_limit",
        ),
    ),
    "F11": (
        "the hang-up at the longest duration fails once",
        (
            "engine/test_twilio_troubles::test_a_call_that_is_over_by_the_clock_is_hung_up_although_the_first_try_fails",
        ),
    ),
    "F12": (
        "memory without a bound",
        (
            "web/test_limits::test_answers_are_forgotten_after_ten_minutes_and_beyond_the_bound",
            "test_book::test_the_oldest_ended_calls_are_forgotten_and_live_ones_never",
            "carriers/test_twilio_signature::TestBodies::test_a_form_has_only_so_many_parameters",
        ),
    ),
    "F13": (
        "answers that meet the wrong question, because ids came from a clock",
        (
            "live/test_native::test_silence_goes_on_with_listening_at_another_address_each_time",
            "live/test_native::test_what_was_said_before_the_question_is_written_down_and_is_no_answer",
        ),
    ),
}

ELSEWHERE: Final[Mapping[str, str]] = {
    "A10": "a vendor's withdrawn protocol of recognition: cloud speech",
    "A11": "a model that calls tools of another surface: models",
    "A12": "wideband: a Twilio stream carries mu-law at 8 kHz only",
    "B3": "housekeeping of a model's context before its answer: models",
    "B4": "a model that asks another one without a limit: models",
    "B5": "a model's late answer: models",
    "B6": "a model's questions in one queue: models",
    "B7": "a voice that does not stream, and fillers: cloud speech",
    "D3": "ngrok's token: tunnels",
    "D4": "a tunnel that dies later: tunnels",
    "D5": "a tunnel that does not start: tunnels",
    "D6": "ngrok's page before the page: tunnels",
    "D7": "other tunnels: tunnels",
    "D8": "another service on the tailnet's port: tunnels",
}
"""Pains that are not of Twilio's making, and where they belong."""
