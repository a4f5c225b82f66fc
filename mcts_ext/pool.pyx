"""A pool of threads for the search: no GIL, no OpenMP.

Each thread takes its own share of the indices first and then helps the others: so a slot's tree stays in the cache of
one core from step to step, and no core waits. Between two steps of a search a thread looks out for the next for 0.1 ms,
then it sleeps: waking it up costs more than a short step, but a long evaluation needs the core.
"""
from libc.stdlib cimport calloc, free
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from *:
    """
    #if defined(__x86_64__)
    #define pool_pause() __builtin_ia32_pause()
    #else
    #define pool_pause() __asm__ volatile("" ::: "memory")
    #endif
    """
    int fetch_add "__sync_fetch_and_add"(int* number, int added) noexcept nogil
    long load_long "__atomic_load_n"(long* number, int order) noexcept nogil
    void store_long "__atomic_store_n"(long* number, long value, int order) noexcept nogil
    int ACQUIRE "__ATOMIC_ACQUIRE"
    int RELEASE "__ATOMIC_RELEASE"
    void pool_pause() noexcept nogil

cdef enum:
    NANOSECONDS = 1_000_000_000
    PATIENCE = 100_000                   # nanoseconds of looking before sleeping
    LOOKS = 20                           # between two readings of the clock


cdef inline long _now() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * NANOSECONDS + time.tv_nsec


cdef inline void _look_out(long* number, long unwanted) noexcept nogil:
    """Returns soon after the number has another value, or when patience is at its end."""
    cdef long end = _now() + PATIENCE
    cdef int looks
    while _now() < end:
        for looks in range(LOOKS):
            if load_long(number, ACQUIRE) != unwanted:
                return
            pool_pause()


cdef inline void _take_indices(Workers* workers, int place) noexcept nogil:
    """Which thread takes an index changes no result."""
    cdef Share* share
    cdef int k, index
    for k in range(workers.threads):
        share = workers.shares + (place + k) % workers.threads
        index = fetch_add(&share.next, 1)
        while index < share.end:
            workers.task(workers.context, index)
            index = fetch_add(&share.next, 1)


cdef void* _work(void* argument) noexcept nogil:
    cdef Workers* workers = (<Worker*>argument).workers
    cdef long done = 0
    while True:
        _look_out(&workers.job, done)
        pthread_mutex_lock(&workers.mutex)
        while workers.job == done and not workers.closing:
            pthread_cond_wait(&workers.work, &workers.mutex)
        if workers.closing:
            pthread_mutex_unlock(&workers.mutex)
            return NULL
        done = workers.job
        pthread_mutex_unlock(&workers.mutex)
        _take_indices(workers, (<Worker*>argument).place)
        pthread_mutex_lock(&workers.mutex)
        workers.busy -= 1
        if workers.busy == 0:
            store_long(&workers.finished_job, done, RELEASE)
            pthread_cond_signal(&workers.finished)
        pthread_mutex_unlock(&workers.mutex)


cdef class Pool:
    """`threads` in all, the caller's own among them."""

    def __cinit__(self, int threads):
        cdef int k
        if threads < 1:
            raise ValueError(f"threads = {threads}: must be 1 or more")
        self.threads = <pthread_t*>calloc(threads, sizeof(pthread_t))
        self.places = <Worker*>calloc(threads, sizeof(Worker))
        self.workers.shares = <Share*>calloc(threads, sizeof(Share))
        if self.threads == NULL or self.places == NULL or self.workers.shares == NULL:
            raise MemoryError("no memory for threads")
        self.workers.threads = threads
        pthread_mutex_init(&self.workers.mutex, NULL)
        pthread_cond_init(&self.workers.work, NULL)
        pthread_cond_init(&self.workers.finished, NULL)
        for k in range(1, threads):
            self.places[k].workers = &self.workers
            self.places[k].place = k
            if pthread_create(self.threads + self.num_started, NULL, _work, self.places + k) != 0:
                raise OSError(f"could not start {threads} threads")
            self.num_started += 1

    def __dealloc__(self):
        cdef int i
        if self.num_started:
            with nogil:
                pthread_mutex_lock(&self.workers.mutex)
                self.workers.closing = True
                pthread_cond_broadcast(&self.workers.work)
                pthread_mutex_unlock(&self.workers.mutex)
                for i in range(self.num_started):
                    pthread_join(self.threads[i], NULL)
        pthread_mutex_destroy(&self.workers.mutex)
        pthread_cond_destroy(&self.workers.work)
        pthread_cond_destroy(&self.workers.finished)
        free(self.workers.shares)
        free(self.places)
        free(self.threads)

    cdef void run(self, Task task, void* context, int count) noexcept nogil:
        """task(context, index) for each index below count; returns when all are done."""
        cdef Workers* workers = &self.workers
        cdef int k
        if self.num_started == 0 or count < 2:
            for k in range(count):
                task(context, k)
            return
        pthread_mutex_lock(&workers.mutex)
        workers.task = task
        workers.context = context
        for k in range(workers.threads):
            workers.shares[k].next = <int>(<long>count * k // workers.threads)
            workers.shares[k].end = <int>(<long>count * (k + 1) // workers.threads)
        workers.busy = self.num_started
        store_long(&workers.job, workers.job + 1, RELEASE)
        pthread_cond_broadcast(&workers.work)
        pthread_mutex_unlock(&workers.mutex)
        _take_indices(workers, 0)
        _look_out(&workers.finished_job, workers.job - 1)
        pthread_mutex_lock(&workers.mutex)
        while workers.finished_job != workers.job:
            pthread_cond_wait(&workers.finished, &workers.mutex)
        pthread_mutex_unlock(&workers.mutex)
