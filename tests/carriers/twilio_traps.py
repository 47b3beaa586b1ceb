"""Every trap of Twilio's interfaces, with the tests that prove that we do not step into it.

They are numbered as the sections of our notes on Twilio's interfaces: 1.1 creating calls, 1.2 changing them, 1.3
webhooks, 1.4 documents, 1.5 media streams, 1.6 signatures, 1.7 error codes. Each test names what it proves in its
name or in its docstring; `test_twilio_traps` sees to it that both sides agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Proofs = tuple[str, ...]
"""Tests as `file::test` or `file::Class::test`, the file below tests/ and without its .py."""

TRAPS: Final[Mapping[str, tuple[str, Proofs]]] = {
    # 1.1 creating a call
    "1.1/path-and-auth": (
        "the account is in the path and in the credentials",
        (
            "engine/test_twilio_troubles::test_the_sender_of_every_call_is_our_number",
            "carriers/test_twilio_far::test_only_the_account_is_let_in",
            "carriers/test_twilio_account::test_wrong_credentials_say_what_to_check",
        ),
    ),
    "1.1/region-and-edge": (
        "both are in the host name, or neither",
        (
            "carriers/test_twilio_account::test_region_and_edge_are_both_in_the_host_name_and_the_environment_has_no_say",
        ),
    ),
    "1.1/four-events": (
        "the key is repeated; without it only the end is reported",
        ("carriers/test_twilio_dial::test_a_dial_asks_for_all_four_events_by_post_and_has_both_limits",),
    ),
    "1.1/ring-limit": (
        "600 s at most",
        ("carriers/test_twilio_dial::test_a_ring_timeout_over_ten_minutes_is_the_longest_that_twilio_takes",),
    ),
    "1.1/inline-limit": (
        "4,000 characters of a document in a request",
        (
            "carriers/test_twilio_dial::test_twiml_over_4000_characters_is_asked_for_by_url_instead",
            "carriers/test_twilio::test_instructions_over_4000_characters_are_refused_with_a_sentence_and_not_sent",
            "cli/test_twilio_long_notice::test_a_notice_whose_document_does_not_fit_in_the_request_is_fetched_and_heard_whole",
            "cli/test_twilio_long_notice::test_a_notice_over_the_limit_is_refused_with_the_limit_and_nobody_is_called",
        ),
    ),
    "1.1/url-wins": (
        "Twiml beside Url is ignored",
        (
            "carriers/test_twilio_dial::test_a_notify_message_goes_inline_and_is_heard_though_no_webhook_reaches_us",
            "carriers/test_twilio_far::test_what_twilio_silently_ignores_is_complained_about",
        ),
    ),
    "1.1/application": (
        "ApplicationSid makes Twilio ignore our callbacks",
        (
            "carriers/test_twilio_dial::test_a_dial_asks_for_all_four_events_by_post_and_has_both_limits",
            "carriers/test_twilio_far::test_what_twilio_silently_ignores_is_complained_about",
        ),
    ),
    "1.1/send-digits": (
        "SendDigits switches machine detection off, and takes 32 keys of its own alphabet",
        (
            "carriers/test_twilio_dial::test_keys_go_as_a_document_because_senddigits_would_switch_machine_detection_off",
            "carriers/test_twilio_dial::test_keys_that_are_none_are_refused_before_anything_is_sent",
        ),
    ),
    "1.1/underscore": (
        "a host name with an underscore is refused",
        ("carriers/test_twilio_dial::test_a_host_name_with_an_underscore_is_refused_before_anything_is_sent",),
    ),
    "1.1/amd-waits": (
        "synchronous machine detection holds the first document back; AsyncAmd is a string",
        ("carriers/test_twilio_dial::test_machine_detection_is_asynchronous_so_that_nobody_waits_in_silence",),
    ),
    "1.1/strings": (
        "durations are strings, dates RFC 2822 or null",
        (
            "carriers/test_twilio_far::test_calls_and_notifications_have_the_fields_that_twilio_documents",
            "carriers/test_twilio_dial::test_a_queued_call_has_no_dates_yet_and_is_found_all_the_same",
        ),
    ),
    "1.1/statuses": (
        "eight of them, and perhaps more some day",
        ("carriers/test_twilio::test_every_status_is_read_and_an_unknown_one_ends_nothing",),
    ),
    "1.1/error-body": (
        "code, message and link are kept",
        (
            "carriers/test_twilio_errors::test_twilios_code_message_and_link_are_kept",
            "carriers/test_twilio_errors::test_an_error_page_of_a_proxy_says_its_status",
        ),
    ),
    "1.1/20003-20404-20429": (
        "refused, unknown, too many at once",
        (
            "carriers/test_twilio_errors::test_each_failure_means_what_the_sender_can_do_about_it",
            "carriers/test_twilio_dial::test_a_dial_is_sent_once_whatever_becomes_of_it",
        ),
    ),
    "1.1/queue": (
        "calls above the rate are accepted and wait",
        ("carriers/test_twilio_dial::test_a_queued_call_has_no_dates_yet_and_is_found_all_the_same",),
    ),
    "1.1/magic-numbers": (
        "test credentials refuse by number",
        ("carriers/test_twilio_dial::test_twilios_magic_numbers_are_refused_with_code_and_link",),
    ),
    # 1.2 changing a live call
    "1.2/canceled": (
        "only before the answer; completed ends any call",
        ("carriers/test_twilio::test_completed_hangs_up_a_call_in_any_state",),
    ),
    "1.2/21220": (
        "the wrong state, which may be right in a moment",
        (
            "carriers/test_twilio::test_21220_on_a_live_call_is_tried_again_a_moment_later",
            "carriers/test_twilio::test_21220_that_stays_is_an_error_and_no_end_of_the_call",
            "engine/test_twilio_troubles::test_a_hang_up_that_twilio_does_not_take_is_tried_until_it_does",
        ),
    ),
    "1.2/20404": (
        "hanging up what is over is a success",
        ("carriers/test_twilio::test_hanging_up_a_call_that_is_over_is_a_success_for_404_and_for_21220",),
    ),
    "1.2/interrupts": (
        "a new document ends the stream with stop",
        (
            "carriers/test_twilio::test_a_transfer_ends_the_stream_with_stop_and_connects_the_caller",
            "live/test_native::test_a_call_over_a_stream_is_never_instructed",
        ),
    ),
    # 1.3 webhooks
    "1.3/directions": (
        "inbound rings first; an answer of ours is in progress",
        (
            "carriers/test_twilio_wire::TestCallsThatComeIn::test_want_a_document_and_carry_what_the_carrier_says_about_the_number",
            "carriers/test_twilio_wire::TestCallsThatWePlaced::test_are_answered_with_a_document_wanted",
        ),
    ),
    "1.3/minutes": (
        "Duration is in minutes, CallDuration in seconds",
        ("carriers/test_twilio_wire::TestProgress::test_duration_is_taken_in_seconds_not_in_minutes",),
    ),
    "1.3/failures-as-completed": (
        "there is no event for failures",
        ("carriers/test_twilio_wire::TestProgress::test_failures_come_as_the_completed_event",),
    ),
    "1.3/recorded": (
        "bodies as they really were, with empty values",
        ("carriers/test_twilio_wire::TestProgress::test_recorded_bodies",),
    ),
    "1.3/shared-url": (
        "voice request and status are told apart by CallbackSource",
        (
            "carriers/test_twilio_wire::TestCallsThatWePlaced::test_answered_may_come_twice_but_a_document_is_wanted_once",
        ),
    ),
    "1.3/number-status": (
        "a number's own callback knows no id of ours",
        (
            "carriers/test_twilio_wire::TestProgress::test_of_a_number_is_told_at_its_own_status_callback",
            "engine/test_twilio_inbound::test_j4_a_caller_who_hangs_up_is_told_by_the_numbers_status_callback",
        ),
    ),
    "1.3/order": (
        "not guaranteed; never back from the end",
        (
            "engine/test_twilio_troubles::test_webhooks_that_come_in_any_order_and_twice_make_one_call",
            "calls/test_laws::test_any_order_duplication_and_loss_leaves_one_end",
        ),
    ),
    "1.3/retry": (
        "the same request comes again, byte for byte",
        (
            "engine/test_twilio_troubles::test_webhooks_that_come_in_any_order_and_twice_make_one_call",
            "engine/test_twilio_troubles::test_a_caller_whose_webhooks_all_come_twice_is_answered_and_greeted_once",
            "engine/test_twilio_retry::test_e8_a_repeated_request_for_instructions_costs_no_call",
            "engine/test_twilio_retry::test_a_progress_report_that_comes_twice_happens_once",
        ),
    ),
    "1.3/amd-values": (
        "seven verdicts, beside the call or with its first request",
        (
            "carriers/test_twilio_wire::TestBesideACall::test_the_verdict_of_machine_detection",
            "carriers/test_twilio_wire::TestCallsThatWePlaced::test_say_who_answered_when_detection_was_waited_for",
        ),
    ),
    "1.3/gather": (
        "speech, keys, silence and partial results",
        (
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_speech_answers_the_turn_that_listened",
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_keys_come_with_the_one_that_finished_them",
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_silence_wants_a_document_too",
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_partial_speech_wants_nothing",
        ),
    ),
    "1.3/dial-status": (
        "how the other leg ended, and whether the caller is still there",
        (
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_a_transfer_is_over",
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_a_caller_who_hangs_up_during_a_transfer_is_not_ours_again",
        ),
    ),
    "1.3/stream-events": (
        "only trouble counts, with its code",
        (
            "carriers/test_twilio_wire::TestBesideACall::test_a_stream_that_failed_keeps_twilios_code_and_words",
            "carriers/test_twilio_wire::TestBesideACall::test_other_news_of_a_stream_is_ignored_with_its_name",
        ),
    ),
    "1.3/15-s": (
        "Twilio waits no longer",
        (
            "web/test_webhooks::test_we_give_up_before_the_carrier_does",
            "web/test_webhooks::test_an_act_that_hangs_is_given_up_so_that_the_carrier_tries_again",
        ),
    ),
    "1.3/fragment": (
        "tunes the request and is neither sent nor signed",
        (
            "carriers/test_twilio_far::test_a_fragment_asks_for_retries_and_is_not_sent",
            "carriers/test_twilio_signature::TestAddresses::test_a_fragment_is_never_signed",
        ),
    ),
    "1.3/12300": (
        "the answer needs a Content-Type that Twilio reads; text/plain is spoken",
        ("carriers/test_twiml::TestAReply::test_has_a_content_type_that_twilio_reads_12300",),
    ),
    "1.3/11750": ("64 kB of a document", ("carriers/test_twiml::TestAReply::test_has_less_than_64_kb_11750",)),
    "1.3/11770": (
        "an empty answer",
        (
            "carriers/test_twiml::TestAReply::test_a2_is_never_empty_11770",
            "carriers/test_twilio_wire::TestWhatIsAskedDuringACall::test_a2_no_request_for_instructions_is_answered_with_nothing",
        ),
    ),
    "1.3/12100": (
        "what is no XML",
        (
            "carriers/test_twiml::TestSay::test_drops_what_no_xml_may_hold_12100",
            "carriers/test_twiml::TestAReply::test_escapes_what_stands_in_addresses_and_texts_12100",
        ),
    ),
    "1.3/12200": (
        "attributes that Twilio does not know",
        (
            "carriers/test_twilio::TestTwilioCarrier::test_twilio_understands_every_document_without_a_warning",
            "carriers/test_twiml::test_every_document_is_xml_of_twilios_schema",
        ),
    ),
    # 1.4 documents
    "1.4/connect-blocks": (
        "what stands after Connect runs when our socket is closed",
        (
            "carriers/test_twiml::TestConnect::test_f9_a_lost_socket_does_not_end_the_call",
            "carriers/test_twilio::test_a_lost_stream_is_opened_again_in_the_same_call",
        ),
    ),
    "1.4/31941": (
        "a two-way stream has the inbound track only",
        ("carriers/test_twiml::TestConnect::test_d2_the_token_is_a_parameter_because_queries_are_dropped",),
    ),
    "1.4/wss-only": (
        "31922 for anything else, 31923 for what is no address",
        (
            "carriers/test_twiml::TestConnect::test_an_address_that_twilio_would_not_dial_is_refused_31922_31923",
            "engine/test_twilio_trust::test_every_address_that_twilio_is_given_lies_under_the_public_one",
        ),
    ),
    "1.4/query-dropped": (
        "the token is a Parameter",
        (
            "carriers/test_twiml::TestConnect::test_d2_the_token_is_a_parameter_because_queries_are_dropped",
            "carriers/test_twilio_far::test_a_stream_is_opened_signed_without_its_query_and_with_its_parameters",
        ),
    ),
    "1.4/parameter-500": (
        "characters of name and value",
        ("carriers/test_twiml::TestConnect::test_a_parameter_has_less_than_500_characters",),
    ),
    "1.4/escape": (
        "& in addresses",
        ("carriers/test_twiml::TestAReply::test_escapes_what_stands_in_addresses_and_texts_12100",),
    ),
    "1.4/13520": ("an empty Say", ("carriers/test_twiml::TestSay::test_of_nothing_is_left_out_13520",)),
    "1.4/13223": (
        "what can not be dialled",
        ("carriers/test_twiml::TestOtherVerbs::test_a_transfer_to_no_number_is_refused_13223",),
    ),
    # 1.5 media streams
    "1.5/31950": (
        "a binary frame",
        (
            "media/test_session::test_our_voice_reaches_the_carrier_in_its_own_frames_and_marks_come_back",
            "carriers/test_twilio_far::test_frames_that_twilio_does_not_know_are_noted_once_by_their_number",
        ),
    ),
    "1.5/31951": (
        "exactly the documented fields",
        ("media/test_twilio_wire::test_frames_to_twilio_hold_exactly_the_documented_fields",),
    ),
    "1.5/strings": (
        "all counters are strings",
        (
            "media/test_twilio_wire::test_the_recorded_stream_reads_as_it_was",
            "media/test_twilio_wire::test_what_is_not_in_the_protocol_is_refused_and_the_stream_goes_on",
        ),
    ),
    "1.5/codec": (
        "mono mu-law at 8 kHz and nothing else",
        ("media/test_twilio_wire::test_a_stream_starts_only_with_a_sound_start",),
    ),
    "1.5/31931": (
        "ten minutes may wait at Twilio; ours never is far ahead",
        ("media/test_playout::test_the_lead_leaves_at_once_and_then_one_frame_every_twenty_ms",),
    ),
    "1.5/31930": (
        "the caller's audio is taken as it comes",
        ("media/test_session::test_audio_and_keys_of_the_caller_arrive",),
    ),
    "1.5/backpressure": (
        "a Twilio that does not read",
        ("media/test_session::test_a_carrier_that_does_not_read_is_let_go_with_1013",),
    ),
    "1.5/marks": (
        "come back when what is before them was played",
        (
            "engine/test_twilio_troubles::test_a_farewell_is_heard_before_twilio_is_told_to_hang_up",
            "live/test_mouth::test_a_line_is_spoken_only_when_the_carrier_has_played_it",
        ),
    ),
    "1.5/clear": (
        "a mark that returns for it does not mean played",
        (
            "engine/test_twilio_troubles::test_a_caller_who_interrupts_is_let_speak_and_our_line_keeps_what_was_heard",
            "media/test_playout::test_clear_empties_everything_and_tells_what_was_heard",
        ),
    ),
    "1.5/keys-in": (
        "DTMF comes over the stream",
        (
            "engine/test_twilio_troubles::test_keys_of_the_caller_come_over_the_stream_and_it_goes_on",
            "media/test_twilio_wire::test_marks_and_keys_are_read",
        ),
    ),
    "1.5/keys-out": (
        "there is no frame for keys, and Play ends the stream",
        ("engine/test_twilio_live::test_keys_arrive_as_tones_and_the_stream_lives_on",),
    ),
    "1.5/31921": (
        "we close, and the call goes on with its document",
        ("carriers/test_twilio::test_a_lost_stream_is_opened_again_in_the_same_call",),
    ),
    "1.5/one-stream": (
        "a call has one, even when an old one closes late",
        (
            "carriers/test_twilio_far::test_an_old_stream_can_be_closed_late_when_the_new_one_is_up",
            "media/test_twilio_wire::test_what_is_not_in_the_protocol_is_refused_and_the_stream_goes_on",
            "engine/test_twilio_streams::test_a_second_start_and_frames_of_nobody_change_nothing",
            "engine/test_twilio_streams::test_an_old_stream_that_is_closed_late_leaves_the_new_one_alone",
        ),
    ),
    "1.5/no-reconnect": (
        "Twilio never tries again",
        (
            "engine/test_twilio_restart::test_a_call_is_controllable_again_after_the_engine_was_killed",
            "carriers/test_twilio::test_a_lost_stream_is_opened_again_in_the_same_call",
            "engine/test_twilio_streams::test_a_stream_that_breaks_is_opened_again_and_the_call_goes_on",
        ),
    ),
    "1.5/pings": ("are answered", ("media/test_session::test_a_ping_of_the_carrier_is_answered_while_it_sends",)),
    "1.5/upgrade-signature": (
        "over the wss:// form, with or without a slash at the end",
        (
            "carriers/test_twilio_signature::TestSockets::test_are_signed_in_their_own_scheme_without_parameters",
            "carriers/test_twilio_signature::TestSockets::test_may_have_a_slash_at_the_end_or_not",
            "web/test_address::TestMediaSockets::test_a_socket_is_signed_over_the_public_host",
            "engine/test_twilio_trust::test_every_address_that_twilio_is_given_lies_under_the_public_one",
        ),
    ),
    "1.5/header-case": (
        "the header may be written in any case",
        (
            "web/test_webhooks::TestTwilioBehindProxies::test_the_name_of_the_header_may_be_written_in_any_case",
            "web/test_address::TestMediaSockets::test_the_name_of_the_header_may_be_written_in_any_case",
        ),
    ),
    "1.5/token": (
        "with the call that was given it, once",
        (
            "web/test_media_door::test_a_token_is_good_once_and_for_its_own_call_alone",
            "web/test_media_door::test_a_start_for_no_call_of_ours_gets_no_stream",
        ),
    ),
    "1.5/socket-errors": (
        "31901 to 31924 are told with the call",
        (
            "engine/test_twilio_troubles::test_a_stream_that_does_not_come_about_is_told_and_twilios_own_voice_goes_on",
            "carriers/test_twilio_account::test_trouble_with_a_stream_is_told_with_its_number_and_what_to_do",
            "engine/test_twilio_streams::test_a_stream_that_breaks_is_opened_again_and_the_call_goes_on",
        ),
    ),
    # 1.6 signatures
    "1.6/vectors": (
        "the published ones",
        (
            "carriers/test_twilio_signature::TestPublishedVectors::test_of_forms",
            "carriers/test_twilio_signature::TestPublishedVectors::test_of_json_bodies",
        ),
    ),
    "1.6/duplicates": (
        "values are taken once, sorted",
        (
            "carriers/test_twilio_signature::TestTwiliosOwnValidatorAgrees::test_on_names_that_come_twice_in_any_order",
        ),
    ),
    "1.6/empty-values": ("count", ("carriers/test_twilio_signature::TestBodies::test_empty_values_count",)),
    "1.6/ports": (
        "with and without, beside passwords and IPv6",
        (
            "carriers/test_twilio_signature::TestAddresses::test_ports_next_to_ipv6_and_passwords",
            "carriers/test_twilio_signature::TestAddresses::test_e1_a_port_that_was_added_is_said",
        ),
    ),
    "1.6/quote": (
        "' or %27",
        ("carriers/test_twilio_signature::TestAddresses::test_quotes_in_the_query_are_one_however_they_are_written",),
    ),
    "1.6/json-body": (
        "hash and signature, both",
        (
            "carriers/test_twilio_signature::TestBodies::test_a_hash_needs_a_signature_beside_it",
            "carriers/test_twilio_signature::TestBodies::test_a_genuine_address_does_not_carry_another_body",
        ),
    ),
    "1.6/empty-body": (
        "is hashed as {} or as nothing",
        (
            "carriers/test_twilio_signature::TestBodies::test_nothing_at_all_is_hashed_as_an_empty_object_or_as_nothing",
        ),
    ),
    "1.6/get": (
        "nothing is appended",
        (
            "carriers/test_twilio_signature::TestBodies::test_a_body_of_a_get_is_not_left_out",
            "carriers/test_twilio_wire::TestProgress::test_recorded_bodies",
        ),
    ),
    "1.6/proxies": (
        "the address is the configured one, no stranger's",
        (
            "web/test_address::TestForwardedHeaders::test_are_not_believed_unless_the_configuration_says_so",
            "web/test_webhooks::TestTwilioBehindProxies::test_e2_a_proxy_may_change_host_port_and_path_of_a_public_address",
        ),
    ),
    "1.6/whose-token": (
        "subaccounts have their own, API keys sign nothing",
        (
            "engine/test_twilio_trust::test_a_token_of_another_account_is_refused_and_the_call_is_not_told_by_it",
            "carriers/test_twilio_signature::TestRefusals::test_with_nothing_to_suspect_name_the_token",
        ),
    ),
    "1.6/rotation": (
        "the secondary token is good too",
        (
            "engine/test_twilio_trust::test_the_secondary_token_is_good_while_tokens_are_rotated",
            "carriers/test_twilio_signature::TestKeys::test_both_tokens_are_good_while_they_are_rotated",
        ),
    ),
    "1.6/shared-key": (
        "SHA-256 with a key that the header names",
        (
            "engine/test_twilio_trust::test_a_call_whose_webhooks_and_stream_are_signed_with_a_shared_sha_256_key",
            "engine/test_twilio_trust::test_a_shared_key_that_is_not_configured_is_named_and_nothing_is_believed",
            "carriers/test_twilio_signature::TestKeys::test_a_shared_key_signs_with_sha_256",
        ),
    ),
    "1.6/lengths": (
        "signatures of any length are compared, not raised at",
        (
            "carriers/test_twilio_signature::TestRefusals::test_of_signatures_that_are_none",
            "carriers/test_twilio_signature::TestAnyBytes::test_are_refused_and_nothing_else",
        ),
    ),
    # 1.7 error codes
    "1.7/explained": (
        "every code that users meet says what to do",
        ("carriers/test_twilio_errors::test_every_code_that_users_meet_says_what_to_do",),
    ),
    "1.7/told": (
        "what Twilio notes about a call becomes part of it",
        (
            "live/test_alerts::test_a_call_that_failed_is_explained_in_the_carriers_words",
            "carriers/test_twilio_account::test_trouble_with_a_document_is_told_too",
        ),
    ),
}

UNUSED: Final[Mapping[str, str]] = {
    "SK… keys": "requests are made with the account's own credentials; API keys would not sign webhooks anyway",
    "FallbackUrl": "there is one engine to ask: a second address would lead to the same one",
    "Streams.json": "one-way streams beside a document: ours are two-way",
    "Recordings.json": "nothing is recorded at Twilio",
    "Conferences": "callers are put through by Dial",
    "<Start><Stream>": "one-way",
    "Number url": "nobody is whispered to before a transfer",
}
"""What Twilio offers and we never ask for, so that its traps are none of ours."""
