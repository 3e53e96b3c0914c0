// Measures importance: lets a model read a text and sums the squares of what each of its matrices is given.
import Checkpoints
import Generation
import Layers
import Models
import Synchronization
import Tensors

/// Windows of a text, as models read them to be calibrated or judged.
public struct TextWindows: Sendable {
  /// Tokens, each with what begins a sequence where the vocabulary has that.
  public let windows: [[Int32]]

  /// Cuts a text into windows side by side; of more than `most` those that are spread evenly over it.
  /// - Parameter first: replaces the first token of each window, where the vocabulary wants a beginning of sequence.
  /// - Throws: ``QuantizationError`` when the text is shorter than one window.
  public init(_ tokens: [Int32], window: Int = 512, first: Int32?, most: Int) throws(QuantizationError) {
    let count = tokens.count / window
    guard count > 0 else {
      throw QuantizationError("the text has \(tokens.count) tokens, fewer than one window of \(window)")
    }
    let chosen = min(count, most)
    windows = (0..<chosen).map { index in
      let start = index * count / chosen * window
      var part = Array(tokens[start..<start + window])
      if let first { part[0] = first }
      return part
    }
  }
}

extension ImportanceMatrix {
  /// Lets a model read.
  /// - Parameter progress: called after each window with the windows done and all; what it throws ends the work.
  public static func measured(
    on decoder: Decoder, reading text: TextWindows, dataset: String,
    progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> ImportanceMatrix {
    let recorder = Recorder()
    var model = decoder
    try model.visit(recorder, at: ModulePath())
    let head = ColumnSums(columns: decoder.configuration.width)
    for (index, tokens) in text.windows.enumerated() {
      let cache = KeyValueCache(decoder.configuration.pageLayout(.i16))
      let states = model(tokens, PagedContext([(cache, tokens.count)]))
      // The scores themselves are not wanted, only what they would be made of.
      head.add(model.norm(states))
      try progress(index + 1, text.windows.count)
    }
    var entries = recorder.sums.mapValues(\.entry)
    entries[decoder.head == nil ? "token_embd.weight" : "output.weight"] = head.entry
    return ImportanceMatrix(
      entries: entries, dataset: dataset, windows: text.windows.count, windowTokens: text.windows.first?.count ?? 0)
  }
}

/// Puts a recording projection in place of each.
private final class Recorder: ModuleVisitor {
  private(set) var sums: [String: ColumnSums] = [:]

  func visit(_ parameter: inout Tensor, role: ParameterRole, at path: ModulePath) {}

  func visit(_ projection: inout any Projection, at path: ModulePath) {
    // Experts of a layer are one tensor, and share what is known of it.
    let name = CheckpointLoader.name(of: path), columns = sums[name] ?? ColumnSums(columns: projection.inputs)
    sums[name] = columns
    projection = RecordingProjection(base: projection, sums: columns)
  }
}

/// A projection that remembers what it is given.
private struct RecordingProjection: Projection {
  var base: any Projection
  let sums: ColumnSums

  var inputs: Int { base.inputs }
  var outputs: Int { base.outputs }
  /// None: a product of several projections at once would pass this one by.
  var plainWeight: Tensor? { nil }

  func callAsFunction(_ x: Tensor) -> Tensor {
    sums.add(x)
    return base(x)
  }

  mutating func visit(_ visitor: any ModuleVisitor, at path: ModulePath) throws {
    try visitor.visit(&base, at: path)
  }
}

/// Sums of squares by column.
private final class ColumnSums: Sendable {
  private let state: Mutex<(squares: [Double], rows: Int)>

  init(columns: Int) {
    state = Mutex(([Double](repeating: 0, count: columns), 0))
  }

  func add(_ x: Tensor) {
    state.withLock { state in
      let columns = state.squares.count, rows = x.shape.rows
      state.rows += rows
      withExtendedLifetime(x) {
        for row in 0..<rows {
          for column in 0..<columns {
            let value = Double(x.floats[row * columns + column])
            state.squares[column] += value * value
          }
        }
      }
    }
  }

  var entry: ImportanceMatrix.Entry {
    state.withLock { ImportanceMatrix.Entry(squares: $0.squares.map { Float($0) }, counts: [Float($0.rows)]) }
  }
}
