"""Corrections of recorded facts of a randomized subject (ICH E6(R3) 4.2.4).

`facts` says what can be corrected and what each correction must keep to, `services` does it. The
stratum and the eligibility answers are not among them: what an allocation used is never rewritten.
"""
