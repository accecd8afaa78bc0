#!/usr/bin/env python3
"""Check a randomization bundle on your own computer: python3 verify_list.py BUNDLE [ROOT ...]

BUNDLE is what `manage.py list bundle` wrote. Plain Python 3.9 or later. Lists are generated again,
roots compared, allocations replayed. The ROOTs that you noted must be all of them. Designs are
printed, not judged: see the protocol. Steps: docs/algorithms/. Exit 0: right.
"""
import collections, fractions, hashlib, hmac, itertools, json, math, struct, sys, zipfile

def quarter_round(s, a, b, c, d):  # RFC 8439, section 2.1
    for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        s[z] = ((mixed := s[z] ^ s[x]) << bits) & 0xFFFFFFFF | mixed >> (32 - bits)

def chacha20_block(key, counter, nonce):  # RFC 8439, section 2.3
    first = struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce)
    s = list(first)
    for turn, at in itertools.product((0, 1) * 10, range(4)):  # columns, then diagonals
        quarter_round(s, *(row * 4 + (at + row * turn) % 4 for row in range(4)))
    return struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(s, first)))

def words(key, nonce):  # the key stream: unsigned 32-bit integers, little-endian
    for counter in itertools.count():
        yield from struct.unpack("<16I", chacha20_block(key, counter, nonce))
def below(stream, n):  # a uniform integer from 0 to n - 1, by rejection
    return next(word for word in stream if word < 2**32 - 2**32 % n) % n

def permuted_blocks(design, stream):
    whole, sizes, number = sum(r for _, r in design["arms"]), sorted(design["block_sizes"]), 0
    while True:
        size, number = sizes[below(stream, len(sizes))], number + 1
        block = [arm for arm, ratio in design["arms"] for _ in range(ratio * size // whole)]
        for last in range(len(block) - 1, 0, -1):  # Fisher-Yates
            j = below(stream, last + 1)
            block[last], block[j] = block[j], block[last]
        yield from ((number, arm) for arm in block)

def tracks(design):  # arms as tracks of equal ratio: 4:2 gives A A B
    common = math.gcd(*(ratio for _, ratio in design["arms"]))
    return [arm for arm, ratio in design["arms"] for _ in range(ratio // common)]
def chosen(weights, point):
    return next(at for at, sum_ in enumerate(itertools.accumulate(weights)) if sum_ > point)
def coin(text, favoured):
    p = fractions.Fraction("1/2" if all(favoured) else text)
    return [p.numerator if each else p.denominator - p.numerator for each in favoured]

def weights_of(algorithm, design, counts):  # to which the tracks' probabilities are proportional
    if algorithm == "efron/1":
        return coin(design["coin"], [count == min(counts) for count in counts])
    if algorithm == "big-stick/1":
        return [int(count - min(counts) < design["bound"]) for count in counts]
    if algorithm == "urn/1":
        balls = [design["start"] + design["added"] * (sum(counts) - count) for count in counts]
        return balls if any(balls) else [1] * len(counts)
    return {"complete/1": [1] * len(counts)}[algorithm]

def places_of(algorithm, design, stream):  # (block, arm or draw) of one stratum, without end
    if algorithm == "permuted-blocks/1":
        yield from permuted_blocks(design, stream)
    while algorithm == "minimization/1":
        yield 0, str(next(stream) << 21 | next(stream) >> 11)
    counts = [0] * len(lanes := tracks(design))
    while True:
        weights = weights_of(algorithm, design, counts)
        track = chosen(weights, below(stream, sum(weights)))
        counts[track] += 1
        yield 0, lanes[track]

def generate(algorithm, design, seed):  # the list again, `length` places a stratum at least
    for stratum in design["strata"]:
        label = "\n".join(("iwrs %s stratum" % algorithm, design["study"], stratum))
        stream, last = words(seed, sha256(label)[:12]), 0
        for position, (block, arm) in enumerate(places_of(algorithm, design, stream), 1):
            if position > design["length"] and (block == 0 or block != last):
                break  # a block is never cut
            yield stratum, position, block, arm
            last = block

def minimize(design, margins, stratum, draw):  # arm and decision, from counts that are then raised
    lanes, weigh = tracks(design), dict(design["weights"])
    scores, pairs = [0] * len(lanes), [level.split("=") for level in stratum.split("|")]
    levels = [(each[0], margins.setdefault("=".join(each), [0] * len(lanes))) for each in pairs]
    for track, (factor, counts) in itertools.product(range(len(lanes)), levels):
        c = [count + (at == track) for at, count in enumerate(counts)]
        spread = {"range": max(c) - min(c), "total": c[track],
                  "variance": len(c) * sum(n * n for n in c) - sum(c) ** 2}
        scores[track] += weigh.get(factor, 1) * spread[design["imbalance"]]
    weights = coin(design["coin"], [each == min(scores) for each in scores])
    track = chosen(weights, int(draw) * sum(weights) >> 53)
    for _, counts in levels:
        counts[track] += 1
    return lanes[track], {"scores": scores, "weights": weights, "track": track}

def sha256(*parts):
    return hashlib.sha256(b"".join(p.encode() if isinstance(p, str) else p for p in parts)).digest()
def merkle_root(leaves):  # RFC 6962, section 2.1
    while len(leaves) > 1:
        pairs = [sha256(b"\1", *leaves[at : at + 2]) for at in range(0, len(leaves) - 1, 2)]
        leaves = pairs + leaves[len(pairs) * 2 :]
    return leaves[0].hex() if leaves else ""

def check_part(name, part, listed, known):
    """One part: the list as approved, or one extension. `known` are the places of earlier parts."""
    seed, how, leaves = bytes.fromhex(listed["seed"]), listed["algorithm"], []
    given = [tuple(entry[:4]) for entry in part["entries"]]
    if how != "imported/1":
        made = [each for each in generate(how, part["design"], seed) if each[:2] not in known]
        wrong = [(g or m)[:2] for g, m in itertools.zip_longest(given, made) if g != m]
        if wrong:
            yield f"{name}: {len(wrong)} places are not what design and seed give, first {wrong[0]}"
    salt_key = hmac.new(seed, b"iwrs salted-merkle/1 salt", "sha256").digest()
    for stratum, position, block, arm, salt in part["entries"]:
        place = f"{stratum}\n{position}"
        if (stratum, position) in known:
            yield f"{name}: gives place {position} of {stratum} again"
        if hmac.new(salt_key, place.encode(), "sha256").hexdigest() != salt:
            yield f"{name}: the salt of {stratum} {position} is not the seed's"
        leaves.append(sha256(b"\0", bytes.fromhex(salt), f"{place}\n{block}\n{arm}"))
        known[stratum, position] = arm
    if merkle_root(leaves) != part["root"]:
        yield f"{name}: the places do not give the root {part['root']}"
    if part["published"] != part["root"]:
        yield f"{name}: published was the root {part['published']}, not {part['root']}"

def check_allocations(bundle, places):
    """Each subject has the next place of the stratum, and the arm that stands there or follows."""
    used, margins = collections.Counter(), {}
    kept = {tuple(place): at for *place, at in reversed(bundle.get("accepted", ()))}
    for each in bundle["allocations"]:
        number, stratum, position = each["list"], each["stratum"], each["position"]
        (listed, known), who = places[number], f"subject {each['subject']}"
        place, told = (number, stratum, position), tuple(each.get("told") or ())
        # Told on paper and accepted before: if it is free, it is this subject's, out of turn.
        own = told[:2] == place[:2] and not used[told] and kept.get(told, each["at"]) < each["at"]
        turn = told[2] if own else used[number, stratum] + 1
        while not own and kept.get((number, stratum, turn), each["at"]) < each["at"]:
            turn += 1
        used.update([place, who])
        used[number, stratum] = max(used[number, stratum], 0 if own else position)
        if max(used[place], used[who]) > 1:
            yield f"{who}: allocated twice, or the place was"
        if position != turn:
            yield f"{who}: has place {position} of {stratum}, {turn} was next"
        arm, decision, design = known.get((stratum, position)), None, listed["parts"][0]["design"]
        if listed["algorithm"] == "minimization/1" and arm is not None:
            arm, decision = minimize(design, margins.setdefault(number, {}), each["asked"], arm)
        elif each["asked"] != stratum:
            yield f"{who}: was in stratum {each['asked']}, has a place of {stratum}"
        if decision != each["decision"]:
            yield f"{who}: scores, weights or track are not those that follow from the margins"
        if each["forced"] and (decision or each["forced"] not in dict(design["arms"])):
            yield f"{who}: no person can name this arm in list {number}"
        if told and places[told[0]][1][told[1:]] != each["arm"]:
            yield f"{who}: the arm is not that of the place that was told on paper"
        if (each["forced"] or arm) != each["arm"]:
            yield f"{who}: the arm is not that of place {position} of {stratum}"

def check(bundle, roots=()):  # everything that is wrong, in words
    content = {key: value for key, value in bundle.items() if key != "sha256"}
    if sha256(json.dumps(content, sort_keys=True, separators=(",", ":"))).hex() != bundle["sha256"]:
        yield "the bundle was changed after it was written"
    places, found, noted = {}, set(), {root.lower() for root in roots}
    for listed in bundle["lists"]:
        name, known = f"list {listed['number']}", {}
        places[listed["number"]] = listed, known
        if split := listed["split"]:
            start = ("iwrs split-seed/1 seed", bundle["study"], str(split["number"]))
            secrets = ("\n".join((*start, *split["shares"])), *split["shares"])
            if [sha256(each).hex() for each in secrets] != [listed["seed"], *split["commitments"]]:
                yield f"{name}: the seed is not that of two shares and their commitments"
        for number, part in enumerate(listed["parts"]):
            found.add(part["root"])
            yield from check_part(f"{name}, part {number}", part, listed, known)
    yield from (f"no list has the root {root}" for root in sorted(noted - found))
    yield from (f"you did not note the root {root}" for root in sorted(found - noted) if noted)
    yield from check_allocations(bundle, places)

def told(bundle):  # for a person to judge: each list's rule beside the protocol, and named arms
    for listed, part in ((each, part) for each in bundle["lists"] for part in each["parts"]):
        rule = {**part["design"], "strata": len(part["design"]["strata"]), "root": part["root"]}
        yield f"List {listed['number']}, {listed['algorithm']}: {json.dumps(rule)}"
    named = [each["subject"] for each in bundle["allocations"] if each["forced"]]
    yield f"Arms not of the own place: {len(named)} {' '.join(named)}".strip()
    yield f"Places told on paper and accepted: {bundle.get('accepted', [])}"

def main(path, *roots):
    example = chacha20_block(bytes(range(32)), 1, bytes.fromhex("000000090000004a00000000"))
    assert example.hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c06803"), "RFC 8439"
    try:
        zipped = zipfile.is_zipfile(path) and zipfile.ZipFile(path).read("bundle.json")
        bundle = json.loads(zipped or open(path, "rb").read())
        faults, seen = list(check(bundle, roots)), list(told(bundle))
    except (ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        faults, seen = [f"the bundle cannot be read: {error!r}"], []
    print(*(["WRONG  " + fault for fault in faults] or ["Everything agrees."]), *seen, sep="\n")
    return len(faults) > 0

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 1 else __doc__)
