/**
 * Tail bounds of the two tests, as base-10 logarithms: z may be in the hundreds, where a probability has no double. Every
 * bound holds for finite samples; where a formula is approximate it errs upwards, so that a p-value is never too small.
 */

/** ln 10. */
const LN10 = Math.LN10

/** Bentkus & Dzindzalieta (Bernoulli 21, 2015): P(sum of fixed signs >= z) <= c·Q(z) with c = 1/(4·Q(√2)), rounded up. */
const BENTKUS = 3.179

/** From here on the asymptotic series of Q is used; it errs upwards by at most 2.8e-4 in ln. */
const ASYMPTOTIC_FROM = 6

/** ln of the upper tail of the standard normal distribution, for any finite z. */
export function lnQ(z: number): number {
  if (z < 0) return Math.log1p(-Math.exp(lnQ(-z)))
  if (z < ASYMPTOTIC_FROM) return Math.log(upperTail(z))
  const square = z * z
  return -square / 2 - Math.log(z * Math.sqrt(2 * Math.PI)) + Math.log1p(-1 / square + 3 / (square * square))
}

/**
 * Bound on lg P(T / ‖q‖ >= z) for T a sum of fixed numbers q with independent fair signs: the smaller one of Hoeffding's
 * and Bentkus and Dzindzalieta's. 0 (p = 1) for z <= 0 and for NaN.
 */
export function log10SignTail(z: number): number {
  if (!(z > 0)) return 0
  if (z === Infinity) throw new RangeError("a score of infinite deviations")
  return Math.min(0, -(z * z) / 2, Math.log(BENTKUS) + lnQ(z)) / LN10
}

/**
 * The upper confidence limit of a probability of which `hits` in `trials` were seen (Clopper & Pearson 1934), for the given
 * one-sided confidence.
 */
export function clopperPearsonUpper(hits: number, trials: number, confidence: number): number {
  if (hits >= trials) return 1
  let [low, high] = [hits / trials, 1]
  for (let step = 0; step < 200; step += 1) {
    const middle = (low + high) / 2
    if (binomialCdf(hits, trials, middle) > 1 - confidence) low = middle
    else high = middle
  }
  return high
}

/** P(at most `hits` of `trials`), summed from the largest term down in logarithms. */
export function binomialCdf(hits: number, trials: number, probability: number): number {
  if (probability <= 0 || hits >= trials) return 1
  if (probability >= 1) return 0
  const odds = Math.log(probability) - Math.log1p(-probability)
  let lnTerm = trials * Math.log1p(-probability)
  let largest = lnTerm
  const terms = [lnTerm]
  for (let k = 1; k <= hits; k += 1) {
    lnTerm += Math.log((trials - k + 1) / k) + odds
    largest = Math.max(largest, lnTerm)
    terms.push(lnTerm)
  }
  const sum = terms.reduce((total, term) => total + Math.exp(term - largest), 0)
  return Math.min(1, Math.exp(largest + Math.log(sum)))
}

/** Q(z) for 0 <= z < 6: a series for erf near 0, Lentz's continued fraction for erfc beyond (Numerical Recipes 6.2). */
function upperTail(z: number): number {
  const x = z / Math.SQRT2
  return x < 2 ? (1 - erfSeries(x)) / 2 : erfcFraction(x) / 2
}

/** erf(x) = 2/√π · e^(-x²) · Σ 2^n x^(2n+1) / (1·3·…·(2n+1)): all terms positive, nothing cancels. */
function erfSeries(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; term > sum * 1e-17; n += 1) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

/** erfc(x) = e^(-x²)/√π · 1/(x + ½/(x + 1/(x + (3/2)/(x + …)))), evaluated from the inside out. */
function erfcFraction(x: number): number {
  let tail = 0
  for (let k = FRACTION_DEPTH; k >= 1; k -= 1) tail = k / 2 / (x + tail)
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail)
}

/** Enough for 1e-15 at x = 2, where the fraction converges slowest. */
const FRACTION_DEPTH = 80
