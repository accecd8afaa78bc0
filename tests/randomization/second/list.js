// A second implementation of the randomization list, written from two pages alone:
// docs/algorithms/list.md ("list" below) and docs/algorithms/methods.md ("methods" below).
// Needs only the language itself and TextEncoder, so it runs in a browser and in node alike.
(() => {
  'use strict';

  // ---- Bytes ----

  const LF = '\n';

  /** @param {string} text @returns {Uint8Array} its UTF-8 bytes */
  const utf8 = (text) => new TextEncoder().encode(text);

  /** @param {string} hex @returns {Uint8Array} */
  const fromHex = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));

  /** @param {Uint8Array} bytes @returns {string} */
  const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

  /** Joins bytes: the || of the pages. @param {...ArrayLike<number>} parts @returns {Uint8Array} */
  function join(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) { all.set(part, at); at += part.length; }
    return all;
  }

  // ---- SHA-256 (FIPS 180-4) and HMAC (RFC 2104) ----

  // The constants are the first 32 bits behind the point of the roots of the first 64 primes.
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  const ROUND = Uint32Array.from(primes, (p) => fraction(Math.cbrt(p)));
  const START = Uint32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));
  const right = (x, n) => (x >>> n) | (x << (32 - n));

  /** @param {Uint8Array} message @returns {Uint8Array} 32 bytes */
  function sha256(message) {
    const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64);
    padded.set(message);
    padded[message.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
    view.setUint32(padded.length - 4, (message.length * 8) >>> 0);
    const state = START.slice();
    const w = new Uint32Array(64);
    for (let block = 0; block < padded.length; block += 64) {
      for (let i = 0; i < 16; i++) w[i] = view.getUint32(block + 4 * i);
      for (let i = 16; i < 64; i++) {
        const s0 = right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ (w[i - 15] >>> 3);
        const s1 = right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ (w[i - 2] >>> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
      }
      let [a, b, c, d, e, f, g, h] = Int32Array.from(state);
      for (let i = 0; i < 64; i++) {
        const s1 = right(e, 6) ^ right(e, 11) ^ right(e, 25);
        const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
        const s0 = right(a, 2) ^ right(a, 13) ^ right(a, 22);
        const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
      }
      [a, b, c, d, e, f, g, h].forEach((x, i) => { state[i] += x; });
    }
    const digest = new DataView(new ArrayBuffer(32));
    state.forEach((x, i) => digest.setUint32(4 * i, x));
    return new Uint8Array(digest.buffer);
  }

  /** HMAC-SHA256. @param {Uint8Array} key @param {Uint8Array} message @returns {Uint8Array} */
  function hmac(key, message) {
    const block = new Uint8Array(64);
    block.set(key.length > 64 ? sha256(key) : key);
    const inner = sha256(join(block.map((b) => b ^ 0x36), message));
    return sha256(join(block.map((b) => b ^ 0x5c), inner));
  }

  // ---- ChaCha20 (RFC 8439, 2.3) ----

  const left = (x, n) => (x << n) | (x >>> (32 - n));
  // Four columns, then four diagonals.
  const QUARTERS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
    [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

  /** One block of the key stream. @param {Uint8Array} key 32 bytes @param {number} counter
   * @param {Uint8Array} nonce 12 bytes @returns {Uint32Array} 16 little-endian words */
  function chacha20(key, counter, nonce) {
    const bytes = join(utf8('expand 32-byte k'), key, [0, 0, 0, 0], nonce);
    const view = new DataView(bytes.buffer);
    view.setUint32(48, counter, true);
    const before = Uint32Array.from({ length: 16 }, (_, i) => view.getUint32(4 * i, true));
    const s = before.slice();
    for (let round = 0; round < 10; round++) {
      for (const [a, b, c, d] of QUARTERS) {
        s[a] += s[b]; s[d] = left(s[d] ^ s[a], 16);
        s[c] += s[d]; s[b] = left(s[b] ^ s[c], 12);
        s[a] += s[b]; s[d] = left(s[d] ^ s[a], 8);
        s[c] += s[d]; s[b] = left(s[b] ^ s[c], 7);
      }
    }
    return s.map((x, i) => x + before[i]);
  }

  // ---- The key stream of a stratum (list, step 1) and below (list, step 2) ----

  /** @param {string} algorithm @param {string} study @param {string} stratum @returns {Uint8Array} */
  const nonceOf = (algorithm, study, stratum) =>
    sha256(utf8(`iwrs ${algorithm} stratum` + LF + study + LF + stratum)).slice(0, 12);

  /** @param {Uint8Array} seed @param {Uint8Array} nonce @returns {() => number} gives the next word */
  function keyStream(seed, nonce) {
    let words = [], counter = 0, at = 0;
    return () => {
      if (at === words.length) { words = chacha20(seed, counter++, nonce); at = 0; }
      return words[at++];
    };
  }

  /** A uniform whole number from 0 to n - 1. @param {() => number} next @param {number} n */
  function below(next, n) {
    if (!(n >= 1 && n <= 2 ** 32)) throw new RangeError(`below(${n}): n must be from 1 to 2^32`);
    const limit = 2 ** 32 - (2 ** 32 % n);
    let w;
    do w = next(); while (w >= limit);
    return w % n;
  }

  // ---- Permuted blocks (list, step 3) ----

  /** The entries of one stratum, whole blocks. @returns {{block: number, content: string}[]} */
  function permutedBlocks(next, { arms, block_sizes, length }) {
    const sizes = [...block_sizes].sort((a, b) => a - b);
    const sum = arms.reduce((total, [, ratio]) => total + ratio, 0);
    const entries = [];
    for (let block = 1; entries.length < length; block++) {
      const size = sizes[below(next, sizes.length)];
      const places = arms.flatMap(([code, ratio]) => Array(ratio * size / sum).fill(code));
      for (let i = size - 1; i >= 1; i--) {
        const j = below(next, i + 1);
        [places[i], places[j]] = [places[j], places[i]];
      }
      for (const content of places) entries.push({ block, content });
    }
    return entries;
  }

  // ---- Tracks, coin and pick (methods, "Arms of unequal ratio" and "Picking a track") ----

  const gcd = (a, b) => (b ? gcd(b, a % b) : a);
  const total = (numbers) => numbers.reduce((sum, x) => sum + x, 0);

  /** @param {[string, number][]} arms @returns {string[]} the arm of each track */
  function tracksOf(arms) {
    const divisor = arms.reduce((d, [, ratio]) => gcd(d, ratio), 0);
    return arms.flatMap(([code, ratio]) => Array(ratio / divisor).fill(code));
  }

  /** @param {string} coin such as "2/3" or "0.8" @returns {[number, number]} for and against */
  function coinOf(coin) {
    const decimals = (coin.split('.')[1] || '').length;
    const [top, bottom] = coin.includes('/') ? coin.split('/').map(Number)
      : [Number(coin.replace('.', '')), 10 ** decimals];
    const divisor = gcd(top, bottom);
    return [top / divisor, (bottom - top) / divisor];
  }

  /** @param {boolean[]} favoured for each track @param {string} coin @returns {number[]} weights */
  function coinWeights(favoured, coin) {
    if (favoured.every((is) => is === favoured[0])) return favoured.map(() => 1);
    const [pro, contra] = coinOf(coin);
    return favoured.map((is) => (is ? pro : contra));
  }

  /** @param {number[]} weights @param {number} x from 0 to sum - 1 @returns {number} the track */
  function pick(weights, x) {
    let sum = 0;
    return weights.findIndex((weight) => (sum += weight) > x);
  }

  // ---- Sequential methods (methods, the section of that name) ----

  /** The weights of the tracks, from the counts so far and the method's keys. */
  const SEQUENTIAL = {
    complete: (counts) => counts.map(() => 1),
    efron: (counts, { coin }) => coinWeights(counts.map((c) => c === Math.min(...counts)), coin),
    'big-stick': (counts, { bound }) => counts.map((c) => (c - Math.min(...counts) >= bound ? 0 : 1)),
    urn(counts, { start, added }) {
      const weights = counts.map((c) => start + added * (total(counts) - c));
      return weights.some((weight) => weight > 0) ? weights : weights.map(() => 1);
    },
  };

  /** The entries of one stratum. @returns {{block: number, content: string}[]} */
  function sequential(next, { method, arms, length, ...keys }) {
    const tracks = tracksOf(arms);
    const counts = tracks.map(() => 0);
    return Array.from({ length }, () => {
      const weights = SEQUENTIAL[method](counts, keys);
      const track = pick(weights, below(next, total(weights)));
      counts[track]++;
      return { block: 0, content: tracks[track] };
    });
  }

  // ---- Minimization (methods, the section of that name) ----

  /** The draws. The first call of next is u, the second v. @returns {{block: number, content: string}[]} */
  const draws = (next, { length }) => Array.from({ length }, () => (
    { block: 0, content: String(next() * 2 ** 21 + Math.floor(next() / 2 ** 11)) }));

  /** The imbalance of counts in which track t is already raised. */
  const MEASURES = {
    range: (counts) => Math.max(...counts) - Math.min(...counts),
    variance: (counts) => counts.length * total(counts.map((c) => c * c)) - total(counts) ** 2,
    total: (counts, t) => counts[t],
  };

  /**
   * Decides for one subject.
   * @param {{arms: [string, number][], imbalance: string, coin: string,
   *   weights: Object<string, number>, margins: Object<string, number[]>, draw: string|number}} given
   *   margins: for each factor the counts of all tracks before, at this subject's level
   * @returns {{scores: number[], weights: number[], track: number, arm: string}}
   */
  function decide({ arms, imbalance, coin, weights: factorWeights = {}, margins, draw }) {
    const tracks = tracksOf(arms);
    const scores = tracks.map((_, t) => total(Object.entries(margins).map(([factor, counts]) => (
      (factorWeights[factor] ?? 1) * MEASURES[imbalance](counts.map((c, i) => c + (i === t ? 1 : 0)), t)))));
    const weights = coinWeights(scores.map((score) => score === Math.min(...scores)), coin);
    const x = (BigInt(draw) * BigInt(total(weights))) >> 53n;
    const track = pick(weights, Number(x));
    return { scores, weights, track, arm: tracks[track] };
  }

  // ---- The list ----

  /**
   * @param {{method: string, study: string, arms: [string, number][], strata: string[],
   *   length: number, seed: string}} design with the keys of the method; seed in hexadecimal
   * @returns {{stratum: string, position: number, block: number, content: string}[]}
   */
  function generateList(design) {
    const { method, study, seed } = design;
    const dynamic = method === 'minimization';
    const make = dynamic ? draws : method === 'permuted-blocks' ? permutedBlocks : sequential;
    return (dynamic ? ['all'] : design.strata).flatMap((stratum) => {
      const next = keyStream(fromHex(seed), nonceOf(`${method}/1`, study, stratum));
      return make(next, design).map((entry, i) => ({ stratum, position: i + 1, ...entry }));
    });
  }

  // ---- The commitment (list, step 4) ----

  /** @param {Uint8Array} seed @returns {Uint8Array} */
  const saltKeyOf = (seed) => hmac(seed, utf8('iwrs salted-merkle/1 salt'));
  const saltOf = (saltKey, { stratum, position }) => hmac(saltKey, utf8(stratum + LF + position));
  const entryOf = ({ stratum, position, block, content }) =>
    utf8([stratum, position, block, content].join(LF));
  const leafOf = (salt, entry) => sha256(join([0], salt, entry));
  const nodeOf = (one, other) => sha256(join([1], one, other));

  /** The root, level by level. @param {{entries: Object[], seed: string}} given @returns {string} hex */
  function commitmentRoot({ entries, seed }) {
    const saltKey = saltKeyOf(fromHex(seed));
    let level = entries.map((entry) => leafOf(saltOf(saltKey, entry), entryOf(entry)));
    while (level.length > 1) {
      const above = [];
      for (let i = 0; i < level.length; i += 2) {
        above.push(i + 1 < level.length ? nodeOf(level[i], level[i + 1]) : level[i]);
      }
      level = above;
    }
    return toHex(level[0]);
  }

  // listParts is for checks only.
  Object.assign(globalThis, { generateList, decide, commitmentRoot, listParts: { fromHex, toHex, sha256,
    hmac, chacha20, nonceOf, keyStream, below, saltKeyOf, saltOf, entryOf, leafOf, nodeOf } });
})();
