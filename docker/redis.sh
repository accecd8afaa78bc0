#!/bin/sh
# Starts Redis with one user for each side of the blind and nothing on disk.
# The rules are those of iwrs/embedded/redis.py (a test keeps both the same).
set -eu

digest() {
    printf %s "$1" | sha256sum | cut -d ' ' -f 1
}

blinded=$(digest "${IWRS_BLINDED_REDIS_PASSWORD:?Set the password of the blinded Redis user}")
unblinded=$(digest "${IWRS_UNBLINDED_REDIS_PASSWORD:?Set the password of the unblinded Redis user}")

# The configuration goes in through a pipe, so that the digests are in no file.
exec redis-server - <<END
bind ${REDIS_BIND:-0.0.0.0}
port ${REDIS_PORT:-6379}
databases 1
save ""
appendonly no
maxmemory 256mb
maxmemory-policy noeviction
user default off
user blinded on #$blinded resetchannels ~_kombu.* ~blinded* ~unblinded ~*.celery.pidbox &/0.celery.pidbox +@all -@admin -@dangerous
user unblinded on #$unblinded resetchannels ~_kombu.* ~unblinded* +@all -@admin -@dangerous
END
