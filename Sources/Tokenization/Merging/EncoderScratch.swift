// Encoding needs a megabyte of working memory; it is kept between calls and lent to one call at a time.
import Synchronization

/// What one call of `encode` works with. Not thread-safe; `ScratchPool` lends each to one call.
final class EncoderScratch: @unchecked Sendable {
  let cache = WordCache()
  /// Most encoders never ask for it.
  private(set) lazy var parts = PartCache()
  let merger = SymbolMerger()
  let paths = PathBuffer()
  var bytes: [UInt8] = []

  /// Whether an unusually long text has left this too large to keep.
  var isOvergrown: Bool { merger.footprint + paths.footprint + bytes.capacity > 2 << 20 }
}

/// Idle scratch memory of one tokenizer.
final class ScratchPool: Sendable {
  private static let idleLimit = 8
  private let idle = Mutex<[EncoderScratch]>([])

  func lend<Result>(_ body: (EncoderScratch) -> Result) -> Result {
    let scratch = idle.withLock { $0.popLast() } ?? EncoderScratch()
    defer {
      if !scratch.isOvergrown {
        idle.withLock { idle in
          if idle.count < Self.idleLimit { idle.append(scratch) }
        }
      }
    }
    return body(scratch)
  }
}
