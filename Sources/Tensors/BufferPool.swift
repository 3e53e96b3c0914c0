// Memory of activations and gradients. Activations live for microseconds, so freed buffers are kept and handed out
// again: fresh pages from the system would cost more than the work on them.
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif
import Synchronization

/// Freed buffers: small ones by size, rounded up to four steps per power of two, so that at most a fifth is unused; large
/// ones in an ``Arena``, where what one size leaves serves another.
package final class BufferPool: Sendable {
  package static let shared = BufferPool(keepsAtMost: 256 << 20)

  private struct Kept: ~Copyable {
    var buffers: [Int: [UInt]] = [:]
    var bytes = 0
    var most: Int
    var arena = Arena()
  }
  private let kept: Mutex<Kept>
  private static let largestSmall = 256 << 10

  /// - Parameter keepsAtMost: bytes of freed buffers of either kind beyond which all of them go back to the system: what
  ///   is in use now comes again, what served a longer text or a larger batch does not stay for ever.
  package init(keepsAtMost mostKept: Int) {
    kept = Mutex(Kept(most: mostKept))
  }

  /// For training, whose every step asks for the same buffers again: nothing goes back.
  package func keepForTraining() { kept.withLock { $0.most = .max } }

  deinit { Self.deallocate(kept.withLock { $0.buffers }) }

  /// Bytes of freed buffers.
  package var keptBytes: Int { kept.withLock { $0.bytes + $0.arena.keptBytes } }

  private static func sizeClass(_ bytes: Int) -> Int {
    let bytes = max(bytes, 64)
    guard bytes <= largestSmall else { return (bytes + 4095) & ~4095 }
    let step = max(64, 1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount - 2))
    return (bytes + step - 1) / step * step
  }

  /// - Parameter stays: whether the buffer outlives most that are asked for after it.
  package func take(atLeast byteCount: Int, stays: Bool = false) -> (Int, UnsafeMutableRawPointer) {
    let size = Self.sizeClass(byteCount)
    let address: UInt? = kept.withLock { kept in
      guard size <= Self.largestSmall else { return kept.arena.take(size, fromTop: stays) }
      let address = kept.buffers[size]?.popLast()
      if address != nil { kept.bytes -= size }
      return address
    }
    if let address, let pointer = UnsafeMutableRawPointer(bitPattern: address) { return (size, pointer) }
    return (size, UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64))
  }

  package func give(_ address: UnsafeMutableRawPointer, sizeClass: Int) {
    let number = UInt(bitPattern: address)
    let surplus: [Int: [UInt]] = kept.withLock { kept in
      if sizeClass > Self.largestSmall {
        guard kept.arena.give(number, sizeClass) else { return [sizeClass: [number]] }
        if kept.arena.keptBytes > kept.most { kept.arena.empty() }
        return [:]
      }
      var surplus: [Int: [UInt]] = [:]
      if kept.bytes + sizeClass > kept.most {
        surplus = kept.buffers
        kept.buffers = [:]
        kept.bytes = 0
      }
      kept.buffers[sizeClass, default: []].append(number)
      kept.bytes += sizeClass
      return surplus
    }
    Self.deallocate(surplus)
  }

  private static func deallocate(_ buffers: [Int: [UInt]]) {
    for address in buffers.values.joined() { UnsafeMutableRawPointer(bitPattern: address)?.deallocate() }
  }
}

/// A range of addresses from which buffers are cut, at the lowest place where one fits (first fit in the order of
/// addresses, which leaves few gaps; Wilson et al. 1995), or at the highest for buffers that stay. So the memory of a
/// training step is hardly more than what it uses at once, though activations are freed in other sizes than gradients
/// are asked for: the latter grow downwards into what the former leave.
private struct Arena: ~Copyable {
  /// Reserved when the first buffer is asked for; 0 where the system gives none.
  private var start: UInt?
  private var size = 0
  /// Free parts below `end`, in order, none beside another; above `end` nothing was ever used.
  private var free: [(offset: Int, size: Int)] = []
  private var end = 0
  /// Bytes of free parts that may be in memory.
  private(set) var keptBytes = 0

  private static let hugePage = 2 << 20
  /// Room below a buffer that stays, so that the next step's need not move when what is below it takes a little more.
  private static let slack = 16 << 20

  deinit {
    if let start, size > 0 { munmap(UnsafeMutableRawPointer(bitPattern: start), size) }
  }

  /// Addresses cost nothing; pages come when they are first written.
  private mutating func reserve() -> UInt {
    if let start { return start }
    var flags = MAP_PRIVATE | MAP_NORESERVE
    #if os(Linux)
    flags |= MAP_ANONYMOUS
    #else
    flags |= MAP_ANON
    #endif
    let wanted = 2 * max(4 << 30, sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)))
    guard let memory = mmap(nil, wanted, PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
      start = 0
      return 0
    }
    #if os(Linux)
    madvise(memory, wanted, MADV_HUGEPAGE)
    #endif
    // The first buffer begins with a large page.
    let address = UInt(bitPattern: memory)
    end = Int((address + UInt(Self.hugePage) - 1) & ~UInt(Self.hugePage - 1) - address)
    (start, size) = (address, wanted)
    return address
  }

  /// Memory of `count` bytes, a multiple of pages; nil when there is no room.
  mutating func take(_ count: Int, fromTop: Bool) -> UInt? {
    let start = reserve(), fits = { (part: (offset: Int, size: Int)) in part.size >= count }
    if let index = fromTop ? free.lastIndex(where: fits) : free.firstIndex(where: fits) {
      let (offset, size) = free[index]
      keptBytes = max(0, keptBytes - count)
      if size == count {
        free.remove(at: index)
      } else {
        free[index] = (fromTop ? offset : offset + count, size - count)
      }
      return start + UInt(fromTop ? offset + size - count : offset)
    }
    guard count <= size - end else { return nil }
    if fromTop, Self.slack <= size - end - count {
      free.append((end, Self.slack))
      end += Self.slack
    }
    defer { end += count }
    return start + UInt(end)
  }

  /// Takes a buffer back; false for one that is not from here.
  mutating func give(_ address: UInt, _ count: Int) -> Bool {
    guard let start, address >= start, address - start < UInt(size) else { return false }
    let offset = Int(address - start)
    keptBytes += count
    var low = 0, high = free.count
    while low < high {
      let middle = (low + high) / 2
      if free[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    let followsOne = low > 0 && free[low - 1].offset + free[low - 1].size == offset
    let precedesOne = low < free.count && offset + count == free[low].offset
    switch (followsOne, precedesOne) {
    case (true, true):
      free[low - 1].size += count + free[low].size
      free.remove(at: low)
    case (true, false): free[low - 1].size += count
    case (false, true): free[low] = (offset, free[low].size + count)
    case (false, false): free.insert((offset, count), at: low)
    }
    return true
  }

  /// Gives the pages of all free parts back to the system.
  mutating func empty() {
    guard let start else { return }
    for part in free { madvise(UnsafeMutableRawPointer(bitPattern: start + UInt(part.offset)), part.size, MADV_DONTNEED) }
    keptBytes = 0
  }
}
