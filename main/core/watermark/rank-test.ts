/**
 * Who answers like the suspect, told by labels alone (WATERMARK 6 B). The suspect's labels at inputs on the model's decision
 * boundary are compared with what each device's copy would say there. The null is exact: an innocent device's copy cannot be
 * told from fakes, copies of devices that do not exist, so its rank among them is uniform. Only the rank is a p-value: labels
 * on the boundary are far from independent, and counting matches would accuse innocents.
 */

export interface RankInput {
  /** Suspect's answers, one a probe: 1 for the first class of the probe, -1 for the second, 0 for another one. */
  readonly answers: Int8Array
  /** Margins (first class minus second) of copies at the probes: of fakes that settle the statistic… */
  readonly pilots: readonly Float64Array[]
  /** …of fakes that settle the rank, and of the devices. */
  readonly fakes: readonly Float64Array[]
  readonly devices: readonly Float64Array[]
}

export interface Ranked {
  /** Larger is more alike; no unit. */
  readonly statistic: number
  /** (1 + fakes that are as much alike) / (1 + fakes). */
  readonly p: number
}

/** Added to the variance of every direction, so that those in which pilots do not differ do not decide alone. */
const RIDGE = 0.05

/** One result a device, in order. Throws RangeError without pilots. */
export function rankDevices({ answers, pilots, fakes, devices }: RankInput): readonly Ranked[] {
  if (pilots.length < 2) throw new RangeError("a statistic needs pilots")
  const scale = standardise(pilots)
  const weights = whiten(
    answers,
    pilots.map((margins) => scale(margins)),
  )
  const statisticOf = (margins: Float64Array) =>
    scale(margins).reduce((sum, value, probe) => sum + value * (weights[probe] ?? 0), 0)
  const others = fakes.map(statisticOf)
  return devices.map((margins) => {
    const statistic = statisticOf(margins)
    const asMuch = others.filter((other) => other >= statistic).length
    return { statistic, p: (1 + asMuch) / (1 + others.length) }
  })
}

/** Centres and scales margins probe by probe, as the pilots vary there. */
function standardise(pilots: readonly Float64Array[]): (margins: Float64Array) => Float64Array {
  const probes = pilots[0]?.length ?? 0
  const mean = new Float64Array(probes)
  const spread = new Float64Array(probes)
  for (const margins of pilots)
    margins.forEach((m, probe) => (mean[probe] = (mean[probe] ?? 0) + m / pilots.length))
  for (const margins of pilots) {
    margins.forEach((m, probe) => {
      spread[probe] = (spread[probe] ?? 0) + (m - (mean[probe] ?? 0)) ** 2 / (pilots.length - 1)
    })
  }
  return (margins) =>
    margins.map((m, probe) => {
      const deviation = Math.sqrt(spread[probe] ?? 0)
      return deviation > 0 ? (m - (mean[probe] ?? 0)) / deviation : 0
    })
}

/**
 * (C + e·I)⁻¹·u for C = ZᵀZ/k, Z the k standardised pilots, by the identity of Woodbury: only a k x k system is solved.
 */
function whiten(answers: Int8Array, pilots: readonly Float64Array[]): Float64Array {
  const k = pilots.length
  const gram = new Float64Array(k * k)
  for (let i = 0; i < k; i += 1)
    for (let j = 0; j <= i; j += 1) {
      const product = dot(pilots[i], pilots[j])
      gram[i * k + j] = product
      gram[j * k + i] = product
    }
  for (let i = 0; i < k; i += 1) gram[i * k + i] = (gram[i * k + i] ?? 0) + k * RIDGE
  const right = Float64Array.from(pilots, (margins) => dot(margins, answers))
  const solved = solve(gram, right)
  return Float64Array.from(answers, (u, probe) => {
    let sum = 0
    for (let i = 0; i < k; i += 1) sum += (pilots[i]?.[probe] ?? 0) * (solved[i] ?? 0)
    return (u - sum) / RIDGE
  })
}

/** A symmetric, positive definite system by Cholesky's decomposition. */
function solve(matrix: Float64Array, right: Float64Array): Float64Array {
  const n = right.length
  const lower = matrix.slice()
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      let sum = lower[i * n + j] ?? 0
      for (let k = 0; k < j; k += 1) sum -= (lower[i * n + k] ?? 0) * (lower[j * n + k] ?? 0)
      lower[i * n + j] = i === j ? Math.sqrt(sum) : sum / (lower[j * n + j] ?? 1)
    }
  }
  const x = right.slice()
  for (let i = 0; i < n; i += 1) {
    for (let k = 0; k < i; k += 1) x[i] = (x[i] ?? 0) - (lower[i * n + k] ?? 0) * (x[k] ?? 0)
    x[i] = (x[i] ?? 0) / (lower[i * n + i] ?? 1)
  }
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let k = i + 1; k < n; k += 1) x[i] = (x[i] ?? 0) - (lower[k * n + i] ?? 0) * (x[k] ?? 0)
    x[i] = (x[i] ?? 0) / (lower[i * n + i] ?? 1)
  }
  return x
}

function dot(a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined): number {
  let sum = 0
  for (let i = 0; i < (a?.length ?? 0); i += 1) sum += (a?.[i] ?? 0) * (b?.[i] ?? 0)
  return sum
}
