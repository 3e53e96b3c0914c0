// What this machine can do at all, measured: the yardstick for every figure of speed.
import CKernels
import Synchronization

/// Limits of all threads together.
public struct MachineLimits: Sendable, Codable {
  /// Bytes per second read from memory.
  public var readBandwidth: Double
  /// 8-bit multiplications and additions per second.
  public var int8Operations: Double
  /// `f32` multiplications and additions per second.
  public var floatOperations: Double
  /// Multiplications of `bf16` and their additions per second.
  public var pairOperations: Double

  public init(readBandwidth: Double, int8Operations: Double, floatOperations: Double, pairOperations: Double) {
    self.readBandwidth = readBandwidth
    self.int8Operations = int8Operations
    self.floatOperations = floatOperations
    self.pairOperations = pairOperations
  }

  /// Takes about half a second.
  public static func measure(threads: Int, instructionSet: InstructionSet = .preferred) -> MachineLimits {
    let backend = CPUBackend(threads: threads, instructionSet: instructionSet), kernels = backend.kernels
    let part = 64 << 20, parts = 4
    let memory = Storage(byteCount: part * parts)
    memory.bytes.initializeMemory(as: UInt8.self, repeating: 1)
    let address = memory.bytes.baseAddress!
    let sink = Atomic<UInt64>(0)  // keeps the loops from being left out
    let bandwidth = best(of: 5, amount: Double(part * parts)) {
      backend.pool.run(chunks: parts * 16) { chunk in
        sink.add(kernels.read_memory(address + chunk * (part / 16), part / 16), ordering: .relaxed)
      }
    }
    func peak(_ loop: @escaping (Int, UnsafeMutablePointer<Float>?) -> Void, operationsPerRound: Double) -> Double {
      let rounds = 1_000_000  // some milliseconds: waking threads is nothing beside it
      return best(of: 9, amount: Double(rounds * backend.threadCount) * operationsPerRound) {
        backend.pool.run(chunks: backend.threadCount) { _ in
          withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { floats in
            floats.initialize(repeating: 0.5)
            loop(rounds, floats.baseAddress)
            sink.add(UInt64(floats[0].bitPattern), ordering: .relaxed)
          }
        }
      }
    }
    return MachineLimits(
      readBandwidth: bandwidth,
      int8Operations: peak({ kernels.peak_int8($0, $1) }, operationsPerRound: 16 * 64 * 2),
      floatOperations: peak({ kernels.peak_float($0, $1) }, operationsPerRound: 16 * 16 * 2),
      pairOperations: peak({ kernels.peak_pairs($0, $1) }, operationsPerRound: 16 * 32 * 2))
  }

  /// The highest rate of several runs: a limit is what nothing disturbed.
  private static func best(of runs: Int, amount: Double, _ body: () -> Void) -> Double {
    (0..<runs).map { _ in amount / (ContinuousClock().measure(body) / .seconds(1)) }.max() ?? 0
  }
}
