"""What the graphics cards of this machine are doing, as NVIDIA's management library (NVML) tells it."""

CARD_FIGURES = ("cards_busy", "cards_memory_bytes")


class Cards:
    """All cards of this machine; none where nvidia-ml-py or the driver is missing."""

    def __init__(self) -> None:
        self._handles = []
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())]
        except ImportError:
            pass  # it comes with the extra gpu
        except pynvml.NVMLError:
            pass

    def report(self) -> dict[str, float]:
        """`cards_busy`: share of the last moments in which a kernel ran, the mean over cards; `cards_memory_bytes`: in
        use on all of them, by whomever. Nothing where there are none."""
        if not self._handles:
            return {}
        try:
            busy = [self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100 for handle in self._handles]
            used = [self._nvml.nvmlDeviceGetMemoryInfo(handle).used for handle in self._handles]
        except self._nvml.NVMLError:
            return {}
        return dict(zip(CARD_FIGURES, (sum(busy) / len(busy), sum(used)), strict=True))
