// Sums over rows of numbers that the gradients are made of, sixteen lanes at a time, in an order that depends on the
// lengths alone.

/// Σ a × b
@inline(__always)
func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
  var lanes = SIMD16<Float>.zero, index = 0
  while index + 16 <= count {
    lanes += load(a + index) * load(b + index)
    index += 16
  }
  var sum = lanes.sum()
  while index < count {
    sum += a[index] * b[index]
    index += 1
  }
  return sum
}

/// y += factor × x
@inline(__always)
func accumulate(_ factor: Float, _ x: UnsafePointer<Float>, _ count: Int, into y: UnsafeMutablePointer<Float>) {
  for index in 0..<count { y[index] += factor * x[index] }
}

@inline(__always)
private func load(_ pointer: UnsafePointer<Float>) -> SIMD16<Float> {
  UnsafeRawPointer(pointer).loadUnaligned(as: SIMD16<Float>.self)
}
