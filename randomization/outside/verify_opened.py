#!/usr/bin/env python3
"""Check the treatments of an unblinded study: python3 verify_opened.py PROOFS.json ROOT [ROOT ...]

PROOFS.json is "Proofs as JSON" of the study's page of treatments. Each ROOT is one that you noted
when a list was approved. Plain Python 3.9 or later. Each subject's place in the list is hashed with
its salt and led up to a root (RFC 9162, section 2.1.3.2): if it is one of yours, the place is that
which was fixed before the first subject. Exit status 0: all proofs are right.
"""
import hashlib, json, sys

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def root_of(proof):
    """The root to which a proof leads, or None for a proof that leads nowhere."""
    entry = "\n".join(str(proof[key]) for key in ("stratum", "position", "block", "entry"))
    digest = sha256(b"\0", bytes.fromhex(proof["salt"]), entry.encode())
    place, last = proof["index"], proof["size"] - 1
    if not 0 <= place <= last:
        return None
    for sibling in (bytes.fromhex(each) for each in proof["path"]):
        if last == 0:
            return None
        if place % 2 or place == last:
            digest = sha256(b"\1", sibling, digest)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            digest = sha256(b"\1", digest, sibling)
        place, last = place // 2, last // 2
    return digest.hex() if last == 0 else None

def check(opened, roots):
    """Everything that is wrong, in words."""
    noted = {root.strip().lower() for root in roots}
    places = set()
    for each in opened["subjects"]:
        who, place = f"subject {each['subject']}", (each["list"], each["stratum"], each["position"])
        if root_of(each) not in noted:
            yield f"{who}: the place is not in a list with a root that you noted"
        # Of a dynamic method the list holds a draw, from which the arm follows (verify_list.py);
        # there no person names an arm. Elsewhere one may, or it was told on paper as that of
        # another place; the place is used up.
        dynamic = each["entry"].isdecimal()
        if not (each.get("forced") or dynamic or each["arm"] == each["entry"]):
            yield f"{who}: the treatment is not that of the place"
        if each.get("forced") and dynamic:
            yield f"{who}: no person can name a treatment in this list"
        if place in places:
            yield f"{who}: another subject has the same place"
        places.add(place)

def named(opened):
    """The treatments that the file says are not of the own place: no proof in it shows them."""
    told = [each["subject"] for each in opened["subjects"] if each.get("forced")]
    if told:
        yield (
            "Treatments not of the own place (named by a person, or told on paper): "
            f"{len(told)} {' '.join(told)}"
        )

def main(path, *roots):
    seen = []
    try:
        with open(path, encoding="utf-8") as file:
            opened = json.load(file)
        faults, seen = list(check(opened, roots)), list(named(opened))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        faults = [f"the file cannot be read: {error!r}"]
    print(*(["WRONG  " + fault for fault in faults] or ["Every proof is right."]), *seen, sep="\n")
    return len(faults) > 0

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 2 else __doc__)
