use super::*;

const CLIENT: Source = Source {
    client: 1,
    port: 40_000,
};

/// How many of these datagrams are answered, all at one time.
fn count_answers(filter: &mut DatagramFilter, source: Source, payloads: u32, now: u64) -> u32 {
    let answered = |number: &u32| filter.admit(source, &number.to_ne_bytes(), now).is_ok();
    u32::try_from((0..payloads).filter(answered).count()).unwrap()
}

#[test]
fn ports_where_echo_servers_listen_get_no_answer() {
    let mut filter = DatagramFilter::new(vec![7007, 7008], None);
    for (port, expected) in [
        (0, Err(Dropped::Port)),
        (7, Err(Dropped::Port)),
        (7007, Err(Dropped::Port)),
        (7008, Err(Dropped::Port)),
        (7009, Ok(())),
    ] {
        let source = Source { client: 1, port };
        assert_eq!(filter.admit(source, b"?", 0), expected, "port {port}");
    }
}

#[test]
fn a_client_gets_a_second_of_its_rate_at_once_and_then_its_rate() {
    let mut filter = DatagramFilter::new(Vec::new(), Some(50));
    assert_eq!(count_answers(&mut filter, CLIENT, 80, 0), 50);
    assert_eq!(filter.admit(CLIENT, b"?", 19), Err(Dropped::Rate));
    assert_eq!(count_answers(&mut filter, CLIENT, 80, 100), 5);
    assert_eq!(count_answers(&mut filter, CLIENT, 80, 1_000_000), 50);
}

#[test]
fn a_client_beyond_its_rate_takes_nothing_from_others() {
    let mut filter = DatagramFilter::new(Vec::new(), Some(10));
    count_answers(&mut filter, CLIENT, 1_000, 0);
    let others = (2..102).filter(|client| {
        let other = Source {
            client: *client,
            ..CLIENT
        };
        filter.admit(other, b"?", 0).is_ok()
    });
    assert!(others.count() >= 95); // one may share its place, by chance
}

#[test]
fn the_same_datagram_misses_one_answer_of_a_hundred_and_different_ones_none() {
    let mut filter = DatagramFilter::new(Vec::new(), None);
    for round in 0..3 {
        for number in 1..LAST_REPETITION {
            assert_eq!(filter.admit(CLIENT, b"same", 0), Ok(()), "{round} {number}");
        }
        assert_eq!(filter.admit(CLIENT, b"same", 0), Err(Dropped::Loop));
    }
    assert_eq!(count_answers(&mut filter, CLIENT, 10_000, 0), 10_000);
}

#[test]
fn the_same_datagram_once_a_second_is_always_answered_and_twice_a_second_is_not() {
    let mut filter = DatagramFilter::new(Vec::new(), None);
    let mut answered = |pause: u64, begin: u64| {
        let times = (0..1_000).map(|number| begin + number * pause);
        let answers = times.filter(|now| filter.admit(CLIENT, b"same", *now).is_ok());
        answers.count()
    };
    assert_eq!(answered(1_000, 0), 1_000);
    assert_eq!(answered(500, 10_000_000), 990);
}

#[test]
fn what_still_circles_is_counted_whatever_else_comes() {
    let mut filter = DatagramFilter::new(Vec::new(), None);
    let mut others = 0..;
    let soon = u64::from(LAST_REPETITION) + 20; // others may take its place at first
    let answers = (0..soon).filter(|now| {
        for other in others.by_ref().take(3_000) {
            let payload = u64::to_ne_bytes(other);
            assert!(filter.admit(CLIENT, &payload, *now).is_ok());
        }
        filter.admit(CLIENT, b"circles", *now).is_ok()
    });
    let answers = u64::try_from(answers.count()).unwrap();
    assert_eq!(answers, soon - 1, "360,000 others came in between");
}

/// Sets two servers on each other with so many datagrams, and counts how many of them still circle
/// after that many rounds.
fn circling(datagrams: u32, rounds: u32, rate: Option<u32>) -> usize {
    let mut gates = [
        DatagramFilter::new(vec![1], rate),
        DatagramFilter::new(vec![2], rate),
    ];
    let mut flying: Vec<u32> = (0..datagrams).collect();
    for round in 0..rounds {
        for (filter, port) in gates.iter_mut().zip([2, 1]) {
            let source = Source { client: 9, port };
            flying.retain(|number| {
                let payload = number.to_ne_bytes();
                filter.admit(source, &payload, u64::from(round)).is_ok()
            });
        }
    }
    flying.len()
}

#[test]
fn servers_that_answer_each_other_stop() {
    assert_eq!(circling(1, 100, None), 0);
    assert_eq!(circling(20, 100, Some(10_000)), 0);
    assert_eq!(circling(1_000, 1_000, None), 0); // a second, where a round takes a millisecond
}

#[test]
fn a_flood_from_everywhere_takes_no_more_memory() {
    let mut filter = DatagramFilter::new(Vec::new(), Some(10));
    for client in 0..100_000 {
        let source = Source { client, ..CLIENT };
        let _ = filter.admit(source, &client.to_ne_bytes(), client);
    }
    assert_eq!(
        (filter.buckets.len(), filter.repetitions.len()),
        (4096, 4096)
    );
}

#[test]
fn whatever_comes_a_client_gets_no_more_than_its_rate_and_no_port_of_servers_gets_any() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let rate = 10;
    let mut filter = DatagramFilter::new(vec![4000], Some(rate));
    let (mut now, mut answered) = (0, [0_u64; 3]);
    for _ in 0..50_000 {
        now += random.u64(..20);
        let client = random.usize(..answered.len());
        let port = [0, 7, 4000, 5000, random.u16(..)][random.usize(..5)];
        let source = Source {
            client: u64::try_from(client).unwrap(),
            port,
        };
        let payload: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..2)).collect();
        if filter.admit(source, &payload, now).is_ok() {
            assert!(![0, 7, 4000].contains(&port));
            answered[client] += 1;
        }
    }
    let most = u64::from(rate) * (now / 1000 + 2);
    assert!(
        answered.iter().all(|answers| *answers <= most),
        "{answered:?} > {most}"
    );
}
