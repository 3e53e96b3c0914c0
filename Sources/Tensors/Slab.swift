// Memory for weights: one after another, in the order in which they are used, in large pages. A step reads all of them,
// and with pages of 4 KiB it would spend a part of its time on finding where each one is.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif
import Synchronization

/// A large piece of memory that is handed out from its beginning to its end, and given back when nobody holds a part.
final class Slab: Sendable {
  private static let page = 2 << 20
  private static let usualSize = 64 << 20
  /// The slab whose rest is handed out next, and how much of it is taken.
  private static let current = Mutex<(slab: Weak, used: Int)>((Weak(), 0))

  private struct Weak {
    weak var slab: Slab?
  }

  nonisolated(unsafe) private let memory: UnsafeMutableRawPointer  // whose parts belong to the storages that hold this
  private let size: Int

  private init(size: Int) {
    memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: Self.page)
    #if os(Linux)
    madvise(memory, size, MADV_HUGEPAGE)
    #endif
    self.size = size
  }

  deinit { memory.deallocate() }

  /// Uninitialised memory of `byteCount` bytes, aligned to 64, and the slab that must live as long.
  static func take(_ byteCount: Int) -> (Slab, UnsafeMutableRawPointer) {
    let wanted = (byteCount + 63) & ~63
    return current.withLock { current in
      if let slab = current.slab.slab, slab.size - current.used >= wanted {
        defer { current.used += wanted }
        return (slab, slab.memory + current.used)
      }
      let slab = Slab(size: max(usualSize, (wanted + page - 1) / page * page))
      current = (Weak(slab: slab), wanted)
      return (slab, slab.memory)
    }
  }
}
