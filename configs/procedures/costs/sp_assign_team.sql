-- Charges that carry no team, given to one: the late half of an agreement that labels could not express. A restated day
-- comes without it again.
CREATE OR REPLACE PROCEDURE metadata.sp_assign_team(
  IN p_from DATE, IN p_to DATE, IN p_provider STRING, IN p_project STRING, IN p_team STRING
)
BEGIN
  UPDATE silver_cost.focus_costs
  SET x_Team = p_team
  WHERE x_run_date BETWEEN p_from AND p_to
    AND x_Provider = p_provider AND x_Project = p_project AND x_Team IS NULL;
END;
