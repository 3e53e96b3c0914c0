// Rotary position embeddings (Su et al. 2021): tables of angles, made as far as positions go.
import Synchronization
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The angles by which queries and keys turn with their position.
public final class Rotation: Sendable {
  /// Which columns form a pair.
  public enum Pairing: Sendable {
    /// Columns 2i and 2i + 1 (GPT-J; Llama's weights in GGUF).
    case interleaved
    /// Columns i and i + width / 2 (GPT-NeoX; Hugging Face).
    case halves
  }

  static let chunk = 256

  public let pairing: Pairing
  /// Columns that turn, from the first; even.
  public let rotatedWidth: Int
  private let frequencies: [Double]
  private let magnitude: Double
  private let chunks = Mutex<[Int: Storage]>([:])

  /// - Parameters:
  ///   - frequencies: the angle per position of each pair, in radians.
  ///   - magnitude: what sines and cosines are multiplied with (YaRN's attention factor; otherwise 1).
  public init(frequencies: [Double], pairing: Pairing, magnitude: Double = 1) {
    self.frequencies = frequencies
    self.pairing = pairing
    self.magnitude = magnitude
    rotatedWidth = frequencies.count * 2
  }

  /// Reads angles of one position after another: most are in the table of the one before.
  struct Angles {
    private let rotation: Rotation
    private var chunk = -1
    private var floats: UnsafePointer<Float>?

    init(_ rotation: Rotation) { self.rotation = rotation }

    /// Cosines, then sines, `[rotatedWidth / 2]` each; valid while the rotation lives.
    mutating func at(_ position: Int) -> UnsafePointer<Float> {
      let wanted = position / Rotation.chunk, offset = position % Rotation.chunk * 2 * rotation.frequencies.count
      if let floats, chunk == wanted { return floats + offset }
      let table = rotation.table(chunk: wanted).bytes.baseAddress!.assumingMemoryBound(to: Float.self)
      (chunk, floats) = (wanted, UnsafePointer(table))
      return UnsafePointer(table + offset)
    }
  }

  /// Cosines, then sines, `[rotatedWidth / 2]` each, for every position of a chunk of 256.
  private func table(chunk: Int) -> Storage {
    if let made = chunks.withLock({ $0[chunk] }) { return made }
    let pairs = frequencies.count
    let table = Storage(byteCount: Self.chunk * pairs * 2 * 4)
    let floats = table.bytes.bindMemory(to: Float.self)
    for position in 0..<Self.chunk {
      for pair in 0..<pairs {
        let angle = Double(chunk * Self.chunk + position) * frequencies[pair]
        floats[(position * 2) * pairs + pair] = Float(cos(angle) * magnitude)
        floats[(position * 2 + 1) * pairs + pair] = Float(sin(angle) * magnitude)
      }
    }
    // Another thread may have been faster; its table is in use and stays.
    return chunks.withLock { chunks in
      if let made = chunks[chunk] { return made }
      chunks[chunk] = table
      return table
    }
  }
}
