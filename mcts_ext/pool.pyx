"""A pool of threads for the search: no GIL, no OpenMP; idle threads sleep, so that they take nothing from others."""
from libc.stdlib cimport calloc, free

cdef extern from *:
    int fetch_add "__sync_fetch_and_add"(int* number, int added) noexcept nogil


cdef inline void _take_indices(Workers* workers) noexcept nogil:
    """Whoever is free takes the next index: which thread did it changes no result."""
    cdef int index = fetch_add(&workers.next, 1)
    while index < workers.count:
        workers.task(workers.context, index)
        index = fetch_add(&workers.next, 1)


cdef void* _work(void* argument) noexcept nogil:
    cdef Workers* workers = <Workers*>argument
    cdef long done = 0
    pthread_mutex_lock(&workers.mutex)
    while True:
        while workers.job == done and not workers.closing:
            pthread_cond_wait(&workers.work, &workers.mutex)
        if workers.closing:
            pthread_mutex_unlock(&workers.mutex)
            return NULL
        done = workers.job
        pthread_mutex_unlock(&workers.mutex)
        _take_indices(workers)
        pthread_mutex_lock(&workers.mutex)
        workers.busy -= 1
        if workers.busy == 0:
            pthread_cond_signal(&workers.finished)


cdef class Pool:
    """`threads` in all, the caller's own among them."""

    def __cinit__(self, int threads):
        if threads < 1:
            raise ValueError(f"threads = {threads}: must be 1 or more")
        self.threads = <pthread_t*>calloc(threads, sizeof(pthread_t))
        if self.threads == NULL:
            raise MemoryError("no memory for threads")
        pthread_mutex_init(&self.workers.mutex, NULL)
        pthread_cond_init(&self.workers.work, NULL)
        pthread_cond_init(&self.workers.finished, NULL)
        for _ in range(threads - 1):
            if pthread_create(self.threads + self.num_threads, NULL, _work, &self.workers) != 0:
                raise OSError(f"could not start {threads} threads")
            self.num_threads += 1

    def __dealloc__(self):
        cdef int i
        if self.threads == NULL:
            return
        with nogil:
            pthread_mutex_lock(&self.workers.mutex)
            self.workers.closing = True
            pthread_cond_broadcast(&self.workers.work)
            pthread_mutex_unlock(&self.workers.mutex)
            for i in range(self.num_threads):
                pthread_join(self.threads[i], NULL)
        pthread_mutex_destroy(&self.workers.mutex)
        pthread_cond_destroy(&self.workers.work)
        pthread_cond_destroy(&self.workers.finished)
        free(self.threads)

    cdef void run(self, Task task, void* context, int count) noexcept nogil:
        """task(context, index) for each index below count; returns when all are done."""
        cdef Workers* workers = &self.workers
        cdef int index
        if self.num_threads == 0 or count < 2:
            for index in range(count):
                task(context, index)
            return
        pthread_mutex_lock(&workers.mutex)
        workers.task = task
        workers.context = context
        workers.count = count
        workers.next = 0
        workers.busy = self.num_threads
        workers.job += 1
        pthread_cond_broadcast(&workers.work)
        pthread_mutex_unlock(&workers.mutex)
        _take_indices(workers)
        pthread_mutex_lock(&workers.mutex)
        while workers.busy:
            pthread_cond_wait(&workers.finished, &workers.mutex)
        pthread_mutex_unlock(&workers.mutex)
