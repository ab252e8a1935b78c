#pragma once
// OpenCL 1.2 through function pointers: types come from the headers, functions from a library that is
// opened at run time, so that a program starts on a machine without OpenCL.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

// Every OpenCL function Carousel calls.
#define CAROUSEL_OPENCL_FUNCTIONS(X) \
    X(clGetPlatformIDs)              \
    X(clGetPlatformInfo)             \
    X(clGetDeviceIDs)                \
    X(clGetDeviceInfo)               \
    X(clCreateContext)               \
    X(clReleaseContext)              \
    X(clCreateCommandQueue)          \
    X(clReleaseCommandQueue)         \
    X(clCreateBuffer)                \
    X(clReleaseMemObject)            \
    X(clCreateProgramWithSource)     \
    X(clCreateProgramWithBinary)     \
    X(clBuildProgram)                \
    X(clGetProgramBuildInfo)         \
    X(clGetProgramInfo)              \
    X(clReleaseProgram)              \
    X(clCreateKernel)                \
    X(clReleaseKernel)               \
    X(clSetKernelArg)                \
    X(clEnqueueNDRangeKernel)        \
    X(clEnqueueReadBuffer)           \
    X(clEnqueueWriteBuffer)          \
    X(clEnqueueMapBuffer)            \
    X(clEnqueueUnmapMemObject)       \
    X(clEnqueueBarrierWithWaitList)  \
    X(clEnqueueMarkerWithWaitList)   \
    X(clGetEventProfilingInfo)       \
    X(clReleaseEvent)                \
    X(clFlush)                       \
    X(clFinish)

// One pointer per function, all set.
typedef struct COpenCLFunctions {
#define CAROUSEL_OPENCL_MEMBER(name) __typeof__(name) *_Nonnull name;
    CAROUSEL_OPENCL_FUNCTIONS(CAROUSEL_OPENCL_MEMBER)
#undef CAROUSEL_OPENCL_MEMBER
} COpenCLFunctions;

// Opens the library on the first call. NULL when it, or one of its functions, is missing;
// `carousel_opencl_problem` then says which. Safe from any thread.
const COpenCLFunctions *_Nullable carousel_opencl_functions(void);

// Why `carousel_opencl_functions` returned NULL; an empty string when it did not.
const char *_Nonnull carousel_opencl_problem(void);
