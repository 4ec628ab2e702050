//! Links, transfers, duplicates and erasures in every order in which they can come (S1): nothing lost, nothing doubled,
//! always the same root, and an end.
//!
//! An ordinary run looks at a part of the link sets, in some seconds; `RIPEN_LINK_SETS=all` at all of them.

mod search;
mod story;

use search::{End, Found, Search};

const EVERY_RANK: [&str; 4] = ["anon:a", "email:e", "user:u", "crm:c"];
const ONE_RANK: [&str; 4] = ["anon:a", "anon:b", "anon:c", "device:d"];
const TWO_COOKIES: [&str; 4] = ["anon:a", "anon:b", "email:e", "user:u"];

const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

/// Every set of two to four links over four ids, as places in [`PAIRS`].
fn link_sets() -> Vec<Vec<(usize, usize)>> {
    let sets = (0_u32..64).filter(|set| (2..=4).contains(&set.count_ones()));
    sets.map(|set| (0..6).filter(|n| set >> n & 1 == 1).map(|n| PAIRS[n]).collect()).collect()
}

/// The one end that there must be: each person's lead has what all of the person's ids had.
fn expected(ids: &[&str], links: &[(usize, usize)], of_ids: &[i64]) -> End {
    let mut root: Vec<usize> = (0..ids.len()).collect();
    let lead_id = |ix: usize| ripen_records::LeadId::parse(ids[ix]).expect("an id");
    for _ in ids {
        for &(one, other) in links {
            let best = if lead_id(root[one]) < lead_id(root[other]) { root[one] } else { root[other] };
            (root[one], root[other]) = (best, best);
        }
    }
    let sum = |of: usize| (0..ids.len()).filter(|ix| root[*ix] == of).map(|ix| of_ids[ix]).sum::<i64>();
    let leads = (0..ids.len()).filter(|ix| root[*ix] == *ix).map(|ix| (ids[ix].to_owned(), sum(ix)));
    End { leads: leads.filter(|(_, sum)| *sum > 0).collect(), refused: 0 }
}

/// The ends are these: the leads, each with its sum, and the number of refused links.
#[track_caller]
fn check(search: Search, ends: &[(&[(&str, i64)], u8)]) {
    let Found { ends: found, states } = search.run();
    let end = |(leads, refused): &(&[(&str, i64)], u8)| End {
        leads: leads.iter().map(|(id, sum)| ((*id).to_owned(), *sum)).collect(),
        refused: *refused,
    };
    assert_eq!(
        found.iter().cloned().collect::<Vec<_>>(),
        ends.iter().map(end).collect::<Vec<_>>(),
        "{states} states"
    );
}

/// Looks at link sets over three kinds of persons: every `every`-th of each, those that `of` makes of them.
fn look_at(every: [usize; 3], of: impl Fn(Search, &[(usize, usize)]) -> Search) {
    #[expect(clippy::disallowed_methods, reason = "how much is looked at, not what is found")]
    let is_long = std::env::var("RIPEN_LINK_SETS").is_ok_and(|sets| sets == "all");
    let mut states = 0;
    for (ids, every) in [EVERY_RANK, ONE_RANK, TWO_COOKIES].into_iter().zip(every) {
        for links in link_sets().into_iter().step_by(if is_long { 1 } else { every }) {
            let search =
                links.iter().fold(Search::new(&ids), |search, &(one, other)| search.link(one, other));
            let found = of(search, &links).run();
            states += found.states;
            let end = expected(&ids, &links, &[1, 10, 100, 1_000]);
            assert_eq!(found.ends.iter().collect::<Vec<_>>(), [&end], "{ids:?} {links:?}");
        }
    }
    assert!(states > 5_000, "only {states} states");
}

#[test]
fn every_order_of_links_gives_every_person_once() {
    look_at([1, 1, 1], |search, _| (0..4).fold(search, |search, n| search.counted(n, usize::from(n))));
}

#[test]
fn activities_that_race_with_links_and_transfers_count_once() {
    look_at([4, 5, 6], |search, _| {
        let search = search.counted(0, 0).counted(1, 1);
        search.event_under_way(2, 2, 0).event_under_way(3, 3, 0)
    });
}

#[test]
fn links_before_any_state_hold() {
    look_at([24, 29, 31], |search, _| {
        (0..4).fold(search, |search, n| search.event_under_way(n, usize::from(n), 0))
    });
}

#[test]
fn a_duplicate_that_races_with_a_transfer_counts_once() {
    look_at([13, 14, 15], |search, links| {
        let search = (0..4).fold(search, |search, n| search.counted(n, usize::from(n)));
        // The same event by another way, under an id that is linked to the first one.
        let (one, other) = links[0];
        search.event_under_way(one as u8, one, 0).event_under_way(one as u8, other, 0)
    });
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let chain = Search::new(&EVERY_RANK).link(0, 1).link(1, 2).link(2, 3);
    check(chain.counted(0, 0).event_under_way(1, 0, 0), &[(&[("crm:c", 11)], 0)]);
}

#[test]
fn a_cycle_of_links_has_one_root() {
    for ids in [EVERY_RANK, ONE_RANK] {
        let cycle = Search::new(&ids).link(0, 1).link(1, 2).link(2, 3).link(3, 0);
        let root = if ids == ONE_RANK { ids[0] } else { ids[3] };
        check(cycle.counted(0, 1).event_under_way(1, 2, 0), &[(&[(root, 11)], 0)]);
    }
}

#[test]
fn a_link_to_an_id_that_has_moved_goes_on_to_where_it_is() {
    let moved = Search::new(&EVERY_RANK).counted(0, 0).counted(1, 1).link(1, 2).settled();
    check(moved.link(0, 1).event_under_way(2, 0, 0), &[(&[("user:u", 111)], 0)]);
}

#[test]
fn a_shared_device_refuses_its_second_user_whatever_races() {
    let ids = ["anon:tablet", "user:1", "user:2"];
    let tablet = Search::new(&ids).counted(0, 0).counted(1, 1).counted(2, 2);
    let tablet = tablet.link(0, 1).link(0, 2).event_under_way(3, 0, 0);
    let (first, second) = ([("user:1", 1_011), ("user:2", 100)], [("user:1", 10), ("user:2", 1_101)]);
    // What the log's order at the tablet decides: whose it is.
    check(tablet, &[(&second, 1), (&first, 1)]);
}

#[test]
fn two_users_merge_by_an_alias_only() {
    let two =
        || Search::new(&["user:1", "user:2", "anon:a"]).counted(0, 0).counted(1, 1).link(2, 1).counted(2, 2);
    check(two().link(0, 1), &[(&[("user:1", 1), ("user:2", 110)], 1)]);
    check(two().alias(0, 1).event_under_way(3, 2, 0), &[(&[("user:1", 1_111)], 0)]);
}

/// A record shows `user:2`, his address and a tablet that belongs to `user:1`. With links to the record's lead he stays
/// who he is; a link of the tablet and the address, too, could make the two users one, by the order of two partitions.
#[test]
fn links_to_the_lead_of_a_record_keep_strangers_apart_where_pairs_do_not() {
    let ids = ["anon:tablet", "email:2", "user:2", "user:1"];
    let tablet = || {
        let tablet = Search::new(&ids).counted(0, 0).counted(1, 3).link(0, 3).settled();
        tablet.link(0, 2).link(1, 2).event_under_way(2, 1, 0)
    };
    let apart: &[(&str, i64)] = &[("user:2", 100), ("user:1", 11)];
    check(tablet(), &[(apart, 1)]);
    let with_pairs = tablet().link(0, 1).run();
    assert!(with_pairs.ends.len() > 1, "{:?}", with_pairs.ends);
}

const ERASED: [&str; 3] = ["anon:a", "email:e", "user:u"];

/// What a person did before the request is gone under every id, wherever the request is put and whatever it races with;
/// what comes behind it counts at most once.
#[test]
fn concept_85_an_erasure_that_races_with_links_and_transfers_erases_what_was_before() {
    for (at, suppress) in [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)] {
        let person = || {
            let person = Search::new(&ERASED).counted(0, 0).counted(1, 1).counted(2, 2);
            // All of it arrived before the request.
            person.link_by(0, 1, false, 1).link_by(1, 2, false, 2).erase(at, 3, suppress)
        };
        check(person(), &[(&[], 0)]);
        for later in 0..3 {
            let found = person().event_under_way(3, later, 4).run();
            for end in &found.ends {
                let sum: i64 = end.leads.iter().map(|(_, sum)| sum).sum();
                assert!(sum == 0 || sum == 1_000 && !suppress, "request at {at}, later {later}: {end:?}");
            }
            assert_eq!(found.ends.iter().any(|end| !end.leads.is_empty()), !suppress, "{:?}", found.ends);
        }
    }
}

/// In the order of one log, nothing that arrived behind the request is lost.
#[test]
fn what_arrives_behind_an_erasure_counts_again() {
    let person = Search::new(&ERASED).counted(0, 0).counted(2, 2).link_by(0, 2, false, 1).settled();
    let found = person.erase(2, 3, false).event_under_way(3, 2, 4).behind().run();
    let sums = found.ends.iter().map(|end| end.leads.clone());
    assert_eq!(sums.collect::<Vec<_>>(), [[("user:u".to_owned(), 1_000)]]);
}

/// The request names a shared device, and comes before the links of its two users, both of which arrived before it: the
/// device belonged to the first one only.
#[test]
fn an_erasure_of_a_shared_device_erases_its_owner_only() {
    let ids = ["anon:tablet", "user:1", "user:2"];
    let tablet = Search::new(&ids).counted(0, 0).counted(1, 1).counted(2, 2);
    let tablet = tablet.link_by(0, 1, false, 1).link_by(0, 2, false, 2).behind().erase(0, 3, false);
    check(tablet, &[(&[("user:2", 100)], 1)]);
}

/// The erased id belongs to another one by the time that what was on its way to it arrives.
#[test]
fn what_was_on_its_way_to_an_erased_id_does_not_go_along_with_its_next_life() {
    let person = Search::new(&["anon:a", "user:u", "crm:c"]).counted(0, 0);
    check(person.link_by(0, 1, false, 1).erase(1, 3, false).link_by(1, 2, false, 4), &[(&[], 0)]);
}

#[test]
fn an_id_that_was_erased_joins_again_by_a_later_link() {
    let person = Search::new(&ERASED).counted(0, 0).counted(2, 2).link_by(0, 2, false, 1).settled();
    let back = person.erase(2, 3, false).settled().event_under_way(1, 0, 4).link_by(0, 2, false, 5);
    check(back, &[(&[("user:u", 10)], 0)]);
}
