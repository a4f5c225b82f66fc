"""From the options that people write to the numbers that the search reads."""


cdef Settings read_settings(object options):
    """options: `SearchOptions`, which has checked them."""
    return Settings(
        root_gumbel=options.root == "gumbel",
        interior_gumbel=options.interior == "gumbel",
        c_puct=options.c_puct,
        c_puct_factor=options.c_puct_factor,
        c_puct_base=options.c_puct_base,
        c_puct_stdev=options.c_puct_stdev,
        stdev_prior=options.stdev_prior,
        stdev_prior_visits=options.stdev_prior_visits,
        fpu_absolute=options.fpu == "absolute",
        fpu_value=options.fpu_value,
        root_fpu_value=options.root_fpu_value,
        noise_fraction=options.noise_fraction,
        noise_alpha=options.noise_alpha,
        noise_shaped=options.noise_shaped,
        forced_playouts=options.forced_playouts,
        gumbel_actions=options.gumbel_actions,
        gumbel_scale=options.gumbel_scale,
        c_visit=options.c_visit,
        c_scale=options.c_scale,
        rescale_q=options.rescale_q,
        solver=options.solver,
        proof_moves=options.proof_moves if options.solver else 0,
        transpositions=options.transpositions,
        leaves=options.leaves,
        virtual_loss=options.virtual_loss,
        lcb=options.choose == "lcb",
        lcb_stdevs=options.lcb_stdevs,
        lcb_visits=options.lcb_visits,
        symmetry={"none": NO_SYMMETRY, "random": RANDOM_SYMMETRY, "average": AVERAGED_SYMMETRY}[options.symmetry],
        rollout_weight=options.rollout_weight,
    )
