//! The contract of `driver::Driver`, held against every driver: epoll and io_uring over TCP and
//! over Unix sockets, and the simulated network over many seeds.
//!
//! Nothing in here knows which driver it tries. `log` asserts the rules at every completion, the
//! other modules say what is to happen in the cases that are named here.

mod adopting;
mod behind;
mod closing;
mod crowd;
mod ending;
mod exhausting;
mod finishing;
mod generations;
mod harness;
mod kernel;
mod lending;
mod listening;
mod log;
mod moving;
mod pausing;
mod receiving;
mod rig;
mod sending;
mod simulated;
mod waiting;

use harness::{apart, plain, tuned};
use kernel::{Epoll, Kernel, Uring};
use simulated::Simulated;

macro_rules! tests {
    ($run:ident, $harness:ty, { $($file:ident: $($case:ident)*;)* }) => {
        $($(
            #[test]
            fn $case() {
                $run::<$harness>(crate::$file::$case);
            }
        )*)*
    };
}

/// Every case, for one harness.
macro_rules! hold_against {
    ($driver:ident, $harness:ty, $($apart:ident)*) => {
        mod $driver {
            use super::*;

            tests!(tuned, $harness, {
                receiving: what_is_written_is_received
                    a_bulk_is_echoed_in_arbitrary_cuts
                    many_connections_do_not_mix
                    what_is_not_handed_out_is_unread
                    what_is_behind_urgent_data_is_received;
                listening: connects_at_once_are_all_accepted
                    a_connect_after_unlisten_is_refused
                    who_stands_in_the_queue_of_a_closing_listener_is_accepted;
                sending: a_send_rests_until_the_peer_reads
                    whether_the_peer_takes_anything_shows
                    parts_arrive_in_order
                    frames_are_shared_by_many
                    sends_follow_each_other;
                lending: a_part_of_what_came_goes_back
                    many_lent_sends_do_not_mix
                    a_lent_send_rests_until_the_peer_reads
                    a_lent_send_that_rests_is_closed
                    a_close_at_once_after_a_lent_send
                    a_release_at_once_after_a_lent_send
                    a_fin_follows_a_lent_send
                    a_reset_while_a_lent_send_rests
                    what_waited_for_resume_goes_back
                    the_rest_of_a_lent_send_is_given_back;
                pausing: nothing_is_received_while_paused
                    what_had_arrived_before_the_pause_waits
                    a_pause_while_another_is_received
                    a_pause_behind_many_that_are_readable
                    pausing_twice_is_pausing_twice
                    sends_go_on_while_paused
                    a_writer_has_to_wait
                    a_fin_waits_for_resume
                    a_fin_waits_behind_the_data
                    a_fin_before_a_pause_in_the_same_turn;
                ending: data_and_fin_together
                    data_beyond_the_buffer_and_fin
                    a_reset_is_told
                    a_reset_is_told_while_paused
                    a_reset_before_a_pause_in_the_same_turn
                    a_reset_after_data_while_paused
                    a_reset_while_a_send_rests
                    a_reset_while_a_send_rests_and_paused;
                finishing: a_fin_follows_what_is_sent
                    receiving_goes_on_behind_our_fin
                    sending_goes_on_behind_the_fin_of_the_peer
                    a_send_to_nobody_is_sent_or_nothing;
                closing: a_close_ends_the_connection
                    a_close_drops_what_is_being_sent
                    closed_means_that_memory_is_free
                    a_close_with_bytes_unread
                    a_close_at_every_word;
                generations: a_slot_is_reused_in_the_same_turn
                    a_slot_is_taken_until_the_last_word
                    a_reset_of_the_former_tenant;
                adopting: an_adopted_socket_works_like_an_accepted_one
                    what_waits_in_an_adopted_socket_is_received
                    a_released_socket_works
                    the_rest_of_a_send_is_given_back
                    what_was_received_comes_before_released
                    what_was_sent_comes_before_released
                    a_stream_moves_between_drivers;
                waiting: a_wait_does_not_sleep_over_work
                    sends_that_go_on_keep_nobody_waiting
                    a_wake_is_told
                    many_wakes_are_told;
            });
            tests!(plain, $harness, {
                lending: no_peer_holds_a_buffer;
                listening: any_number_of_connections_may_be_allowed;
                exhausting: tiny_rings_lose_nothing
                    tiny_rings_tell_of_every_reset;
            });
            $($apart!($harness);)*
        }
    };
}

/// What only sockets of a kernel can show.
macro_rules! with_descriptors {
    ($harness:ty) => {
        tests!(plain, $harness, {
            waiting: a_wait_ends_in_time
                a_wake_ends_the_wait_of_another_thread;
            listening: other_listeners_go_on;
            closing: a_dropped_driver_ends_its_connections;
        });

        #[test]
        fn accepting_rests_without_descriptors() {
            let path = concat!(module_path!(), "::accepting_rests_without_descriptors");
            let test = crate::exhausting::accepting_rests_without_descriptors;
            apart(path, || plain::<$harness>(test));
        }

        #[test]
        fn no_descriptor_is_left_behind() {
            let path = concat!(module_path!(), "::no_descriptor_is_left_behind");
            apart(path, || plain::<$harness>(crate::exhausting::no_descriptor_is_left_behind));
        }

        #[test]
        fn a_long_send_is_given_to_no_thread() {
            let path = concat!(module_path!(), "::a_long_send_is_given_to_no_thread");
            apart(path, || plain::<$harness>(crate::sending::a_long_send_is_given_to_no_thread));
        }

        #[test]
        fn a_close_costs_the_same_among_many() {
            let path = concat!(module_path!(), "::a_close_costs_the_same_among_many");
            apart(path, || plain::<$harness>(crate::crowd::a_close_costs_the_same_among_many));
        }
    };
}

hold_against!(epoll_tcp, Kernel<Epoll, false>, with_descriptors);
hold_against!(epoll_unix, Kernel<Epoll, true>, with_descriptors);
hold_against!(uring_tcp, Kernel<Uring, false>, with_descriptors);
hold_against!(uring_unix, Kernel<Uring, true>, with_descriptors);
hold_against!(simulated_network, Simulated,);

/// From one of the kernel's interfaces to the other and back.
mod between_interfaces {
    use crate::kernel::{Epoll, Uring};
    use crate::moving::a_stream_moves_between_interfaces;

    #[test]
    fn from_epoll_over_tcp() {
        a_stream_moves_between_interfaces::<Epoll, Uring, false>();
    }

    #[test]
    fn from_epoll_over_unix() {
        a_stream_moves_between_interfaces::<Epoll, Uring, true>();
    }

    #[test]
    fn from_uring_over_tcp() {
        a_stream_moves_between_interfaces::<Uring, Epoll, false>();
    }

    #[test]
    fn from_uring_over_unix() {
        a_stream_moves_between_interfaces::<Uring, Epoll, true>();
    }
}
