@_exported import CarouselCore
@_exported import CarouselData
@_exported import CarouselNN
@_exported import CarouselTraining
@_exported import struct CarouselOpenCL.DeviceProbe
@_exported import struct CarouselOpenCL.ProbeAnswer
