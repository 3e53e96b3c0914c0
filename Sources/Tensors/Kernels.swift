// The one place that decides which instruction set runs.
import CKernels
#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// An instruction set that the SIMD loops were compiled for.
public enum InstructionSet: String, CaseIterable, Sendable {
  case scalar, avx2, avx512

  package var code: mk_isa {
    switch self {
    case .scalar: MK_SCALAR
    case .avx2: MK_AVX2
    case .avx512: MK_AVX512
    }
  }

  /// Whether this build has it and this processor can run it.
  public var isSupported: Bool { mk_isa_supported(code) && mk_kernels_of(code) != nil }

  /// The widest that this processor can run, or the one that the environment variable `MALMOI_ISA` names.
  public static let preferred: InstructionSet = {
    if let name = getenv("MALMOI_ISA"), let wanted = InstructionSet(rawValue: String(cString: name)),
      wanted.isSupported
    {
      return wanted
    }
    return allCases.last(where: \.isSupported) ?? .scalar
  }()
}

extension DataType {
  package var code: mk_format_id { mk_format_id(UInt32(rawValue)) }
}
