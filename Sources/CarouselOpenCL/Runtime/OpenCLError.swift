import CarouselCore
import COpenCL

/// Turns OpenCL return codes into `CarouselError`.
enum OpenCLError {
    /// Throws when `code` is not `CL_SUCCESS`.
    /// - Parameters:
    ///   - function: the OpenCL function that returned it.
    ///   - detail: what it was asked to do, for the message.
    static func check(_ code: cl_int, _ function: String, _ detail: @autoclosure () -> String = "") throws {
        guard code != CL_SUCCESS else { return }
        let text = detail()
        let message = "\(function) failed: \(name(of: code))" + (text.isEmpty ? "" : " (\(text))")
        switch code {
        case -4, -5, -6, -61:
            throw CarouselError(.outOfMemory, message, hint: "a smaller batch, shorter sequences or a smaller model")
        case -1, -2, -33, -1001:
            throw CarouselError(.deviceUnavailable, message, hint: "carousel devices")
        default:
            throw CarouselError(.internalError, message)
        }
    }

    /// The constant's name in `CL/cl.h`.
    static func name(of code: cl_int) -> String { names[code].map { "\($0), \(code)" } ?? "code \(code)" }

    private static let names: [cl_int: String] = [
        -1: "CL_DEVICE_NOT_FOUND", -2: "CL_DEVICE_NOT_AVAILABLE", -3: "CL_COMPILER_NOT_AVAILABLE",
        -4: "CL_MEM_OBJECT_ALLOCATION_FAILURE", -5: "CL_OUT_OF_RESOURCES", -6: "CL_OUT_OF_HOST_MEMORY",
        -11: "CL_BUILD_PROGRAM_FAILURE", -13: "CL_MISALIGNED_SUB_BUFFER_OFFSET",
        -14: "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST", -30: "CL_INVALID_VALUE",
        -31: "CL_INVALID_DEVICE_TYPE", -32: "CL_INVALID_PLATFORM", -33: "CL_INVALID_DEVICE",
        -34: "CL_INVALID_CONTEXT", -35: "CL_INVALID_QUEUE_PROPERTIES", -36: "CL_INVALID_COMMAND_QUEUE",
        -37: "CL_INVALID_HOST_PTR", -38: "CL_INVALID_MEM_OBJECT", -42: "CL_INVALID_BINARY",
        -43: "CL_INVALID_BUILD_OPTIONS", -44: "CL_INVALID_PROGRAM", -45: "CL_INVALID_PROGRAM_EXECUTABLE",
        -46: "CL_INVALID_KERNEL_NAME", -47: "CL_INVALID_KERNEL_DEFINITION", -48: "CL_INVALID_KERNEL",
        -49: "CL_INVALID_ARG_INDEX", -50: "CL_INVALID_ARG_VALUE", -51: "CL_INVALID_ARG_SIZE",
        -52: "CL_INVALID_KERNEL_ARGS", -53: "CL_INVALID_WORK_DIMENSION", -54: "CL_INVALID_WORK_GROUP_SIZE",
        -55: "CL_INVALID_WORK_ITEM_SIZE", -56: "CL_INVALID_GLOBAL_OFFSET", -57: "CL_INVALID_EVENT_WAIT_LIST",
        -59: "CL_INVALID_OPERATION", -61: "CL_INVALID_BUFFER_SIZE", -63: "CL_INVALID_GLOBAL_WORK_SIZE",
        -1001: "CL_PLATFORM_NOT_FOUND_KHR",
    ]
}
