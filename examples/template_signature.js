// Checks docs/reference/template-signature.json as docs/reference/template-signature.md says, without Clonewatch.
// With node: node template_signature.js template-signature.json. In a browser: check(the parsed file) names the faults.
const M64 = (1n << 64n) - 1n, N = 64;
const rotl = (x, n) => ((x << n) | (x >> (64n - n))) & M64;
const le = (bytes) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const unhex = (text) => text.match(/../g).map((two) => parseInt(two, 16));

function siphash(key, data) { // SipHash-2-4 of 16 and 8 bytes
  let [k0, k1] = [le(key.slice(0, 8)), le(key.slice(8, 16))];
  let v = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn, k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n];
  const round = () => {
    v[0] = (v[0] + v[1]) & M64; v[1] = rotl(v[1], 13n) ^ v[0]; v[0] = rotl(v[0], 32n);
    v[2] = (v[2] + v[3]) & M64; v[3] = rotl(v[3], 16n) ^ v[2];
    v[0] = (v[0] + v[3]) & M64; v[3] = rotl(v[3], 21n) ^ v[0];
    v[2] = (v[2] + v[1]) & M64; v[1] = rotl(v[1], 17n) ^ v[2]; v[2] = rotl(v[2], 32n);
  };
  for (const m of [le(data), BigInt(data.length) << 56n]) { v[3] ^= m; round(); round(); v[0] ^= m; }
  v[2] ^= 0xffn; for (let i = 0; i < 4; i++) round();
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
function numbers(key) { // SipHash of the numbers 0 to 63, as high and low halves
  const all = [...Array(N).keys()].map((i) => siphash(key, [i, 0, 0, 0, 0, 0, 0, 0]));
  return [all.map((x) => Number(x >> 32n)), all.map((x) => Number(x & 0xffffffffn))];
}
function roundKeys(key) { // Speck32/64
  const word = (i) => key[2 * i] | (key[2 * i + 1] << 8);
  const out = [word(0)], left = [word(1), word(2), word(3)];
  for (let i = 0; i < 21; i++) {
    left.push(((((left[i] >> 7) | (left[i] << 9)) & 0xffff) + out[i] & 0xffff) ^ i);
    out.push((((out[i] << 2) | (out[i] >> 14)) & 0xffff) ^ left[left.length - 1]);
  }
  return out;
}
function minima(tokens) { // of the three-word shingles of 64-bit tokens
  const [factors, addends] = numbers([...new TextEncoder().encode("public: sketches")]), hashes = [];
  for (let i = 0; i <= Math.max(tokens.length - 3, 0); i++) {
    let h = 0n;
    for (const t of tokens.slice(i, i + 3)) h = (h * 0x9e3779b97f4a7c15n + t) & M64;
    h ^= h >> 33n; h = (h * 0xff51afd7ed558ccdn) & M64; h ^= h >> 33n; h = (h * 0xc4ceb9fe1a85ec53n) & M64;
    hashes.push(Number((h ^ (h >> 33n)) >> 32n));
  }
  return factors.map((f, k) => Math.min(...hashes.map((x) => (Math.imul(x, f | 1) + addends[k]) >>> 0)));
}
function encipher(values, key) {
  const [before, after] = numbers(key), rounds = roundKeys(key.slice(0, 8));
  return values.map((value, k) => {
    let x = ((value ^ before[k]) >>> 16) & 0xffff, y = (value ^ before[k]) & 0xffff;
    for (const r of rounds) {
      x = (((((x >> 7) | (x << 9)) & 0xffff) + y) & 0xffff) ^ r;
      y = (((y << 2) | (y >> 14)) & 0xffff) ^ x;
    }
    return (((x << 16) | y) ^ after[k]) >>> 0;
  });
}
function check(file) { // the faults, one line each
  const faults = [], seen = {};
  for (const one of file.vectors) {
    const tokens = one.tokens.map((hex) => BigInt(`0x${hex}`));
    const words = encipher(minima(tokens), unhex(one.sketch_key)).map((w) => w.toString(16).padStart(8, "0"));
    if (`cwt1:${one.key_name}:${words.join("")}` !== one.value) faults.push(`${one.name}: another value`);
    seen[one.name] = words;
  }
  for (const { left, right, equal } of file.pairs)
    if (seen[left].filter((w, k) => w === seen[right][k]).length !== equal) faults.push(`${left}, ${right}: not ${equal}`);
  return faults;
}
if (typeof process !== "undefined" && process.argv) {
  const faults = check(JSON.parse(require("fs").readFileSync(process.argv[2], "utf8")));
  console.log(faults.length ? faults.join("\n") : "every vector holds");
  process.exitCode = faults.length ? 1 : 0;
}
