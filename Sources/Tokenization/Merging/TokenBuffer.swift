// Where encoding writes its tokens: four at a time, whatever their number, and without array bookkeeping.

/// A growing list of token ids.
struct TokenBuffer: ~Copyable {
  private var start: UnsafeMutablePointer<Int32>
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = max(16, capacity)
    start = .allocate(capacity: self.capacity)
  }

  deinit { start.deallocate() }

  var tokens: [Int32] { Array(UnsafeBufferPointer(start: start, count: count)) }

  /// The tokens from `position` on, which must be at most four.
  @inline(__always)
  func four(from position: Int) -> SIMD4<Int32> {
    var tokens = SIMD4<Int32>(repeating: 0)
    for index in position..<count { tokens[index - position] = start[index] }
    return tokens
  }

  @inline(__always)
  mutating func append(_ token: Int32) {
    if count == capacity { grow() }
    start[count] = token
    count += 1
  }

  /// Appends the first `count` of four tokens.
  @inline(__always)
  mutating func append(_ tokens: SIMD4<Int32>, count added: Int) {
    if count + 4 > capacity { grow() }
    UnsafeMutableRawPointer(start + count).storeBytes(of: tokens, as: SIMD4<Int32>.self)
    count += added
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Int32>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: start, count: count)
    start.deallocate()
    start = larger
    capacity *= 2
  }
}
