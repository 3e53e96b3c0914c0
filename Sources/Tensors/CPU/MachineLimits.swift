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
    let sink = Atomic<UInt64>(0)  // keeps the loop from being left out
    let bandwidth = best(of: 5, amount: Double(part * parts)) {
      backend.pool.run(chunks: parts * 16) { chunk in
        sink.add(kernels.read_memory(address + chunk * (part / 16), part / 16), ordering: .relaxed)
      }
    }
    return MachineLimits(
      readBandwidth: bandwidth,
      int8Operations: peak(of: backend, operationsPerRound: 16 * 64 * 2) { kernels.peak_int8($0, $1) },
      floatOperations: operations(.f32, on: backend), pairOperations: operations(.bf16, on: backend))
  }

  /// Multiplications of such factors and their additions per second. Takes some 50 milliseconds and no memory.
  public static func operations(_ precision: ProductPrecision, threads: Int) -> Double {
    operations(precision, on: CPUBackend(threads: threads))
  }

  private static func operations(_ precision: ProductPrecision, on backend: CPUBackend) -> Double {
    let kernels = backend.kernels
    return switch precision {
    case .f32: peak(of: backend, operationsPerRound: 16 * 16 * 2) { kernels.peak_float($0, $1) }
    case .bf16: peak(of: backend, operationsPerRound: 16 * 32 * 2) { kernels.peak_pairs($0, $1) }
    }
  }

  private static func peak(
    of backend: CPUBackend, operationsPerRound: Double, _ loop: (Int, UnsafeMutablePointer<Float>?) -> Void
  ) -> Double {
    let rounds = 1_000_000  // some milliseconds: waking threads is nothing beside it
    let sink = Atomic<UInt64>(0)  // keeps the loop from being left out
    return best(of: 9, amount: Double(rounds * backend.threadCount) * operationsPerRound) {
      backend.pool.run(chunks: backend.threadCount, isLong: true) { _ in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { floats in
          floats.initialize(repeating: 0.5)
          loop(rounds, floats.baseAddress)
          sink.add(UInt64(floats[0].bitPattern), ordering: .relaxed)
        }
      }
    }
  }

  /// The highest rate of several runs: a limit is what nothing disturbed.
  private static func best(of runs: Int, amount: Double, _ body: () -> Void) -> Double {
    (0..<runs).map { _ in amount / (ContinuousClock().measure(body) / .seconds(1)) }.max() ?? 0
  }
}
