// Where a worker writes what it is doing. The memory outlives the worker, however it ends.
import Foundation
import Synchronization

/// Numbers in a file that both processes have mapped.
final class Board: Sendable {
  /// What is counted.
  enum Slot: Int {
    /// The run in progress, or the first one not to be begun.
    case run
    /// Runs done.
    case done
    /// Runs that were accepted and refused, for each target.
    case outcomes
  }

  static let size = 4096
  let url: URL
  private let address: UInt

  /// - Throws: when the file cannot be made or mapped.
  init(_ url: URL, creating: Bool) throws {
    self.url = url
    if creating { try Data(count: Self.size).write(to: url) }
    let descriptor = open(url.path, O_RDWR)
    guard descriptor >= 0 else { throw CocoaError(.fileNoSuchFile) }
    defer { close(descriptor) }
    guard let mapped = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED
    else { throw CocoaError(.fileReadUnknown) }
    address = UInt(bitPattern: mapped)
  }

  deinit { munmap(UnsafeMutableRawPointer(bitPattern: address), Self.size) }

  private func slot(_ index: Int) -> UnsafeMutablePointer<Atomic<Int>>? {
    UnsafeMutableRawPointer(bitPattern: address)?.assumingMemoryBound(to: Atomic<Int>.self).advanced(by: index)
  }

  subscript(slot: Slot) -> Int {
    get { self.slot(slot.rawValue)?.pointee.load(ordering: .relaxed) ?? 0 }
    set { self.slot(slot.rawValue)?.pointee.store(newValue, ordering: .relaxed) }
  }

  func count(_ target: TargetName, accepted: Bool) {
    slot(Self.index(target, accepted))?.pointee.add(1, ordering: .relaxed)
  }

  func outcomes(_ target: TargetName, accepted: Bool) -> Int {
    slot(Self.index(target, accepted))?.pointee.load(ordering: .relaxed) ?? 0
  }

  private static func index(_ target: TargetName, _ accepted: Bool) -> Int {
    Slot.outcomes.rawValue + (TargetName.allCases.firstIndex(of: target) ?? 0) * 2 + (accepted ? 1 : 0)
  }
}
